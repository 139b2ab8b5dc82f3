/** Compares the catalog of a restored database with what its backup holds: pg_dump writes both. */
import {
  type CatalogDifference,
  compareDefinitions,
  type ComparisonLimits,
  type DefinitionComparison,
} from '../../../dump/compare-definitions.js';
import type {DetectedDump} from '../../../dump/detect-format.js';
import {type DumpDefinition, readDefinitions} from '../../../dump/dump-definitions.js';
import {keyOfConstraint} from '../../../dump/outside-names.js';
import {defined} from '../../../base/defined.js';
import {AppError} from '../../../base/errors.js';
import {whyLeftOut} from '../../../dump/archive-list.js';
import {withSession} from '../../../postgres/client.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {findTool} from '../../../postgres/tools/find-tools.js';
import {runPgDump} from '../../../postgres/tools/pg-dump.js';
import {inspectToolEnvironment} from '../../../postgres/tools/tool-environment.js';
import type {RunContext} from '../../../run/run-context.js';
import type {DumpLoad} from '../load/load-dump.js';
import {keepsOwner} from '../load/role-limits.js';

export interface CatalogToCompare {
  readonly dump: Pick<DetectedDump, 'dumpMajor' | 'serverVersion'>;
  /** What the backup holds. */
  readonly definitions: readonly DumpDefinition[];
  /** Of the backup's text. */
  readonly encoding: string;
  /** The restored database. */
  readonly database: Connection;
  readonly serverMajor: number;
  /** Schemas that the backup left out by name: the role may not be able to look at them. */
  readonly excludeSchemas: readonly string[];
  readonly limits: ComparisonLimits;
}

/** Another session's lock on a table is waited for no longer than this, ms. */
const lockWaitMs = 10_000;

/**
 * Runs `pg_dump --schema-only` of the version that made the backup, where that works with the server, and compares.
 * What keeps pg_dump from reading the restored database is no difference: it is named in `notCompared`.
 * @throws INTERRUPTED, CONNECTION_LOST
 */
export async function compareCatalog(
  context: RunContext,
  catalog: CatalogToCompare,
): Promise<DefinitionComparison> {
  let found: DumpDefinition[] = [];
  let major: number;
  try {
    const tool = await findTool(
      'pg_dump',
      context.settings,
      Math.max(catalog.dump.dumpMajor ?? 0, catalog.serverMajor),
    );
    major = tool.major;
    const settings = await withSession(catalog.database, inspectToolEnvironment, {signal: context.signal});
    await runPgDump({
      tool,
      connection: catalog.database,
      options: {...schemaOnly, excludeSchemas: catalog.excludeSchemas},
      environment: {...settings, PGCLIENTENCODING: catalog.encoding},
      readStdout: async (sql) => {
        found = await readDefinitions(sql as AsyncIterable<Buffer>, context.signal);
      },
      signal: context.signal,
    });
  } catch (error) {
    const isFinal =
      !(error instanceof AppError) || ['INTERRUPTED', 'TERMINATED', 'CONNECTION_LOST'].includes(error.code);
    if (isFinal || context.signal.aborted) throw error;
    return {differences: [], notCompared: [`definitions, owners and grants (${error.message})`]};
  }
  // Only pg_dump's headings name the objects of a plain dump; somebody may have taken them away.
  if (catalog.definitions.length === 0 && found.length > 0)
    return {
      differences: [],
      notCompared: ['definitions, owners and grants (the dump does not name its objects)'],
    };
  return compareDefinitions(
    catalog.definitions,
    found,
    defined({
      ...catalog.limits,
      texts: whyTextsDiffer(catalog, major),
    }),
  );
}

const schemaOnly = {
  format: 'sql',
  schemaOnly: true,
  dataOnly: false,
  includeTables: [],
  excludeTables: [],
  includeSchemas: [],
  parallelJobs: 1,
  lockWaitMs,
  encoding: undefined,
  snapshot: undefined,
} as const;

/**
 * What a load leaves out or cannot keep, and what pg_dump does not show, as limits of the comparison afterwards.
 * @param seesAll whether a superuser reads the restored database
 */
export function limitsOf(
  {
    options,
    dump,
    isSuperuser,
    leftOut,
    limits,
    me,
    outsideKeys,
    doubtful,
  }: Pick<
    DumpLoad,
    'options' | 'dump' | 'isSuperuser' | 'leftOut' | 'limits' | 'me' | 'outsideKeys' | 'doubtful'
  >,
  seesAll = isSuperuser,
): ComparisonLimits {
  const isPublic = (definition: DumpDefinition): boolean =>
    definition.type === 'SCHEMA' && definition.name === 'public';
  const unkept = new Set([...limits.missing, ...limits.foreign]);
  return defined({
    owners: options.noOwner
      ? {why: 'which were not restored'}
      : unkept.size > 0
        ? {why: 'which could not be kept', roles: unkept}
        : undefined,
    grants: options.noAcl
      ? {why: 'which were not restored'}
      : unkept.size > 0
        ? {
            why: 'to roles that do not exist here',
            roles: limits.missing,
            // What they granted, the restoring role has granted instead.
            grantors: new Set([...unkept, me]),
          }
        : undefined,
    leftOut: (definition) =>
      (definition.type === 'DEFAULT ACL' && !keepsOwner(limits, definition.owner)
        ? 'default privileges of roles that this role may not act for'
        : undefined) ??
      (['EVENT TRIGGER', 'FOREIGN DATA WRAPPER'].includes(definition.type) && (limits.weak?.size ?? 0) > 0
        ? 'whose owner is no superuser here'
        : undefined) ??
      whyLeftOut(definition, {dump, isSuperuser, leftOut}) ??
      (definition.type === 'FK CONSTRAINT' && outsideKeys.has(keyOfConstraint(definition))
        ? 'foreign keys to tables that the backup does not have'
        : undefined) ??
      (definition.type === 'EXTENSION' && doubtful.includes(definition.name)
        ? 'extensions that the service may refuse'
        : undefined) ??
      // It stands in a dump for its owner alone.
      (options.noOwner && isPublic(definition) ? 'what every database has already' : undefined) ??
      (definition.type === 'USER MAPPING' && !seesAll ? 'whose options this role cannot read' : undefined),
  });
}

/** Each major version writes views, constraints and the like in its own words. */
function whyTextsDiffer({dump, serverMajor}: CatalogToCompare, toolMajor: number): string | undefined {
  const sourceMajor = Number(/^\d+/.exec(dump.serverVersion ?? '')?.[0] ?? serverMajor);
  if (sourceMajor === serverMajor && (dump.dumpMajor ?? toolMajor) === toolMajor) return undefined;
  return `the wording of definitions, which PostgreSQL ${serverMajor} writes otherwise than ${sourceMajor}`;
}

/** A line for each difference: "TABLE shop.orders: owner, postgres instead of app". */
export function describeDifferences(differences: readonly CatalogDifference[]): string[] {
  return differences.map(
    ({kind, object, differs, detail}) =>
      `${kind} ${object}: ${words[differs]}${detail === '' ? '' : `, ${detail}`}`,
  );
}

const words: Readonly<Record<CatalogDifference['differs'], string>> = {
  missing: 'missing',
  extra: 'not in the backup',
  owner: 'another owner',
  grants: 'other grants',
  definition: 'another definition',
  state: 'another state',
  comment: 'another comment',
};
