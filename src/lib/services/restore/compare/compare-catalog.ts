/** Compares the definitions of a restored database with those in its backup, both as written by pg_dump. */
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
  /** Definitions in the backup. */
  readonly definitions: readonly DumpDefinition[];
  /** Encoding of the backup's text. */
  readonly encoding: string;
  /** The restored database. */
  readonly database: Connection;
  readonly serverMajor: number;
  /** Schemas excluded from the backup by name, which the role may not be able to read. */
  readonly excludeSchemas: readonly string[];
  readonly limits: ComparisonLimits;
}

/** Maximum wait for another session's lock on a table, ms. */
const lockWaitMs = 10_000;

/**
 * Runs `pg_dump --schema-only` in the version that made the backup, or a newer one if the server needs it, and compares.
 * If pg_dump cannot read the restored database, that is not a difference; `notCompared` contains its error.
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
  // Only pg_dump's headings name the objects of a plain dump, and they may have been removed.
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
 * Limits of the comparison: parts that the load leaves out or cannot keep, and parts that pg_dump does not show.
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
            // The restoring role is the grantor of their grants instead.
            grantors: new Set([...unkept, me]),
          }
        : undefined,
    leftOut: (definition) =>
      (definition.type === 'DEFAULT ACL' && !keepsOwner(limits, definition.owner)
        ? 'default privileges of roles that this role may not act for'
        : undefined) ??
      (['EVENT TRIGGER', 'FOREIGN DATA WRAPPER'].includes(definition.type) && (limits.weak?.size ?? 0) > 0
        ? 'whose owner is not a superuser here'
        : undefined) ??
      whyLeftOut(definition, {dump, isSuperuser, leftOut}) ??
      (definition.type === 'FK CONSTRAINT' && outsideKeys.has(keyOfConstraint(definition))
        ? 'foreign keys to tables outside the backup'
        : undefined) ??
      (definition.type === 'EXTENSION' && doubtful.includes(definition.name)
        ? 'extensions that the service may refuse'
        : undefined) ??
      // A dump contains it only for its owner.
      (options.noOwner && isPublic(definition) ? 'objects that exist in every database' : undefined) ??
      (definition.type === 'USER MAPPING' && !seesAll ? 'whose options this role cannot read' : undefined),
  });
}

/** Each major version formats views, constraints and similar definitions differently. */
function whyTextsDiffer({dump, serverMajor}: CatalogToCompare, toolMajor: number): string | undefined {
  const sourceMajor = Number(/^\d+/.exec(dump.serverVersion ?? '')?.[0] ?? serverMajor);
  if (sourceMajor === serverMajor && (dump.dumpMajor ?? toolMajor) === toolMajor) return undefined;
  return `the wording of definitions, which PostgreSQL ${serverMajor} writes differently from ${sourceMajor}`;
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
