/** Finds and checks the tables for a restore of rows, with the tables that foreign keys refer to. */
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError} from '../../base/errors.js';
import {unknownName} from '../../base/unknown-name.js';
import {readQualifiedName} from '../../dump/sql/sql-names.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {Session} from '../../postgres/client.js';
import type {NamedTable} from '../../postgres/quote.js';
import {refuseForeignCasts} from '../../rows/model/foreign-casts.js';
import {type Catalog, readCatalog} from '../../rows/model/read-schema.js';
import {inspectTarget} from '../../rows/staging/restore-target.js';
import {readRowRules} from '../../rows/staging/row-rules.js';
import {notInBackup, type WantedTable} from '../../rows/staging/stage-backup.js';
import type {RestoreSource} from '../restore/source.js';
import type {RestoreRowsRequest} from './request.js';

export type TableRole = 'chosen' | 'parent' | 'child';

export interface ChosenTables {
  readonly wanted: readonly WantedTable[];
  readonly roles: readonly TableRole[];
  /** Tables from which ON DELETE may have removed rows, and that --with-children would include: "schema.name". */
  readonly otherChildren: readonly {readonly parent: string; readonly child: string}[];
}

/**
 * @param definitions reads the definitions in the backup; called only for partitions
 * @throws TABLE_NOT_FOUND, TABLE_NOT_IN_BACKUP, NOT_A_TABLE, TABLE_INHERITED, PARTITION_GONE, NO_KEY, COLUMN_NOT_FOUND,
 *   GENERATED_COLUMN, ROW_SECURITY, GUARD
 */
export async function chooseTables(
  session: Session,
  source: RestoreSource,
  request: RestoreRowsRequest,
  schema: string,
  definitions: () => Promise<readonly DumpDefinition[]>,
): Promise<ChosenTables> {
  const inBackup = source.backup?.record?.tables;
  const wanted: WantedTable[] = [];
  const roles: TableRole[] = [];
  const add = async (table: NamedTable, role: TableRole): Promise<void> => {
    if (wanted.some(({target}) => target.schema === table.schema && target.name === table.name)) return;
    const label = qualifiedName(table);
    const rules = await readRowRules(session, table.schema, table.name);
    if (!rules) throw await missingTable(table, inBackup ?? [], definitions);
    if (!['r', 'p'].includes(rules.kind))
      throw new AppError(
        'NOT_A_TABLE',
        `${label} is ${kindOf(rules.kind)}, not a table. Nothing was changed.`,
        {
          hint: 'Name the table that contains the rows.',
        },
      );
    if (rules.has_children && role === 'chosen')
      throw new AppError(
        'TABLE_INHERITED',
        `Other tables inherit from ${label}, so its key does not identify every row. Nothing was changed.`,
        {hint: 'Name the tables that inherit from it and contain the rows.'},
      );
    const target = await inspectTarget(session, table.schema, table.name);
    if (!target) throw await missingTable(table, inBackup ?? [], definitions);
    const names =
      rules.kind === 'p' ? [table, ...rules.parts, ...partsInBackup(table, await definitions())] : [table];
    const sources = [...new Map(names.map((name) => [qualifiedName(name), name])).values()].map((name) => {
      const found = inBackup?.find((each) => each.schema === name.schema && each.name === name.name);
      return {...name, fingerprint: found?.fingerprint ?? null, rows: found?.rows ?? null};
    });
    const isIn =
      inBackup === undefined ||
      inBackup.some(({schema: where, name}) =>
        sources.some((each) => each.schema === where && each.name === name),
      );
    if (!isIn) {
      if (role === 'chosen') throw notInBackup(label, source.id);
      return;
    }
    wanted.push({target, rules, sources});
    roles.push(role);
  };
  for (const text of request.tables) await add(tableNamed(text, schema), 'chosen');
  const catalog = await readCatalog(session);
  const related = relatedTables(catalog, wanted);
  if (request.withParents || request.withChildren) {
    // Each table found can lead to further ones, so the list grows during the loop.
    for (let at = 0; at < wanted.length; at += 1) {
      const oid = wanted[at]?.target.oid ?? '';
      if (request.withChildren) for (const child of related.children(oid)) await add(child, 'child');
      if (request.withParents) for (const parent of related.parents(oid)) await add(parent, 'parent');
    }
  }
  checkColumns(request, wanted);
  await refuseForeignCasts(
    session,
    wanted.map(({target}) => target.oid),
  );
  const names = new Set(wanted.map(({target}) => qualifiedName(target)));
  const otherChildren = wanted.flatMap(({target}) =>
    related
      .children(target.oid)
      .map(({schema: where, name}) => ({
        parent: qualifiedName(target),
        child: `${where}.${name}`,
      }))
      .filter(({child}) => !names.has(child)),
  );
  return {wanted, roles, otherChildren};
}

function kindOf(kind: string): string {
  const kinds: Readonly<Record<string, string>> = {
    v: 'a view', m: 'a materialized view', f: 'a foreign table', S: 'a sequence', i: 'an index', c: 'a type',
  }; // prettier-ignore
  return kinds[kind] ?? 'something else';
}

/** The table named by a flag, in `schema` if the flag gives none. @throws USAGE */
export function tableNamed(text: string, schema: string): NamedTable {
  const found = readQualifiedName(text, 0);
  if (!found || found.end !== text.length)
    throw new AppError('USAGE', `--table ${text} is not the name of a table.`, {
      hint: 'Write it with its schema: --table public.orders. Put a name with a dot or quotes in double quotes.',
    });
  return {schema: found.schema === '' ? schema : found.schema, name: found.name};
}

async function missingTable(
  table: NamedTable,
  inBackup: readonly NamedTable[],
  definitions: () => Promise<readonly DumpDefinition[]>,
): Promise<AppError> {
  const label = qualifiedName(table);
  const parent = attachments(await definitions()).find(
    ({part}) => part.schema === table.schema && part.name === table.name,
  )?.parent;
  if (parent)
    return new AppError(
      'PARTITION_GONE',
      `The database no longer has the partition ${label}. Nothing was changed.`,
      {hint: `Its rows can go through the partitioned table: --table ${qualifiedName(parent)}`},
    );
  const message = `The database has no table ${label}. Nothing was changed.`;
  const known = inBackup.map(qualifiedName);
  if (!known.includes(label)) return unknownName('TABLE_NOT_FOUND', message, label, known);
  return new AppError('TABLE_NOT_FOUND', message, {
    hint: 'The backup contains it. Restore the whole table with --include-table, as this explains: destino-db help restore',
  });
}

/** The partitions of the table in the backup, at any depth. */
function partsInBackup(table: NamedTable, definitions: readonly DumpDefinition[]): NamedTable[] {
  const all = attachments(definitions);
  const found: NamedTable[] = [];
  const isSame = (a: NamedTable, b: NamedTable): boolean => a.schema === b.schema && a.name === b.name;
  const waiting: NamedTable[] = [table];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    for (const {parent, part} of all) {
      if (!isSame(parent, next)) continue;
      found.push(part);
      waiting.push(part);
    }
  }
  return found;
}

function attachments(definitions: readonly DumpDefinition[]): {parent: NamedTable; part: NamedTable}[] {
  return definitions.flatMap(({type, statements}) =>
    (type === 'TABLE ATTACH' ? statements : []).flatMap((statement) => {
      const [before] = /^ALTER TABLE (?:ONLY )?/.exec(statement) ?? [];
      const parent = before === undefined ? undefined : readQualifiedName(statement, before.length);
      const [between] = /^ ATTACH PARTITION /.exec(statement.slice(parent?.end)) ?? [];
      if (!parent || between === undefined) return [];
      const part = readQualifiedName(statement, parent.end + between.length);
      return part ? [{parent, part}] : [];
    }),
  );
}

/** Tables that a table's foreign keys refer to, and tables whose rows ON DELETE removes or unlinks. */
function relatedTables({tables, foreignKeys}: Catalog, wanted: readonly WantedTable[]) {
  const topOf = (oid: string): string => tables.get(oid)?.topOid ?? oid;
  const nameOf = (oid: string): NamedTable[] => {
    const table = tables.get(topOf(oid));
    return table && !wanted.some(({target}) => target.oid === oid) ? [table] : [];
  };
  return {
    parents: (oid: string) =>
      foreignKeys
        .filter(({childOid}) => topOf(childOid) === topOf(oid))
        .flatMap(({parentOid}) => nameOf(parentOid)),
    children: (oid: string) =>
      foreignKeys
        .filter(
          ({parentOid, action}) =>
            topOf(parentOid) === topOf(oid) && ['cascade', 'set null', 'set default'].includes(action),
        )
        .flatMap(({childOid}) => nameOf(childOid)),
  };
}

/** @throws COLUMN_NOT_FOUND, GENERATED_COLUMN, USAGE */
function checkColumns(request: RestoreRowsRequest, wanted: readonly WantedTable[]): void {
  const [first] = wanted;
  if (!first) return;
  const {target} = first;
  const label = qualifiedName(target);
  for (const name of request.columns) {
    const column = target.columns.find((each) => each.name === name);
    if (!column)
      throw new AppError('COLUMN_NOT_FOUND', `${label} has no column ${name}. Nothing was changed.`, {
        hint: `Its columns are ${target.columns.map((each) => each.name).join(', ')}.`,
      });
    if (column.generated)
      throw new AppError('GENERATED_COLUMN', `The server computes ${label}.${name}. Nothing was changed.`, {
        hint: 'Restore the columns that it is computed from.',
      });
    if (target.primaryKey.includes(column.number))
      throw new AppError('USAGE', `${name} is part of the key of ${label}, so it never differs.`, {
        hint: 'Name other columns with --columns.',
      });
  }
}
