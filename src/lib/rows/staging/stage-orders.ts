/** Brings the rows of an order backup into temporary tables of the session, as the target's types. */
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {refuseForeignCasts} from '../model/foreign-casts.js';
import {addSoftLink, describeStaged, lookupColumns, type StagedTable} from './staged-table.js';
import {loadStaged} from './load-staged.js';
import type {FileTable, OrderFile} from '../file/order-file.js';
import {invalidOrderFile} from '../file/order-file-error.js';
import type {SoftLink} from '../model/read-schema.js';
import {fromRelation, inspectTarget} from './restore-target.js';

export interface StagedOrders {
  readonly file: OrderFile;
  readonly tables: readonly StagedTable[];
  /** Tables of the file that the database no longer has. */
  readonly gone: readonly FileTable[];
  readonly links: readonly StagedTable[];
  readonly goneLinks: readonly FileTable[];
}

/**
 * Reads catalog and file in the running transaction, which afterwards can write to temporary tables only.
 * @throws ORDER_BACKUP_INVALID when the server cannot read a row, ROW_SECURITY, GUARD
 */
export async function stageOrders(
  session: Session,
  file: OrderFile,
  softLinks: readonly SoftLink[],
): Promise<StagedOrders> {
  const stage = async (
    kind: 'rows' | 'links',
    tables: readonly FileTable[],
  ): Promise<(StagedTable | undefined)[]> => {
    const staged: (StagedTable | undefined)[] = [];
    for (const [index, table] of tables.entries()) {
      const target = await inspectTarget(session, table.schema, table.name);
      staged.push(target && describeStaged(file, table, target, `destino_${kind}_${index}`));
    }
    return staged;
  };
  const rows = await stage('rows', file.tables);
  const links = await stage('links', file.relinked);
  for (const link of softLinks) addSoftLink(rows, link);
  await refuseForeignCasts(
    session,
    [...rows, ...links].flatMap((each) => (each ? [each.target.oid] : [])),
  );
  await createTemporaryTables(session, [...rows, ...links]);
  // From here on the server itself sees to it that nothing but the temporary tables is written.
  await session.query('SET TRANSACTION READ ONLY');
  await loadStaged(session, file, rows, links);
  await session.query(plannerSettings);
  for (const staged of [...rows, ...links]) if (staged) await analyze(session, staged);
  for (const staged of file.isFromOldScripts ? rows : []) {
    if (staged) await refuseDoubles(session, file, staged);
  }
  const present = (staged: readonly (StagedTable | undefined)[]): StagedTable[] =>
    staged.filter((each) => each !== undefined);
  return {
    file,
    tables: present(rows),
    gone: file.tables.filter((_, index) => rows[index] === undefined),
    links: present(links),
    goneLinks: file.relinked.filter((_, index) => links[index] === undefined),
  };
}

/** Everything that needs CREATE comes first: the transaction becomes read only before the file is loaded. */
async function createTemporaryTables(
  session: Session,
  staged: readonly (StagedTable | undefined)[],
): Promise<void> {
  for (const each of staged) {
    if (!each) continue;
    const columns = each.target.columns.map(({number, name}) => `t.${quoteIdentifier(name)} AS c${number}`);
    const others = [...each.fields, ...each.keyFields].filter(({column}) => column.startsWith('g'));
    // Like the target's columns in type and collation, and without its constraints.
    await session.query(
      `CREATE TEMPORARY TABLE ${each.temp} AS
         SELECT ${['0::bigint AS line', 'NULL::text AS reason', 'NULL::boolean AS selected', 'NULL::smallint[] AS changes', ...columns, ...others.map(({column}) => `NULL::text AS ${column}`)].join(', ')}
           FROM ${fromRelation(each.target)} t WITH NO DATA`,
    );
  }
}

/** The old scripts' files have no checksums that would show a doubled row. */
async function refuseDoubles(
  session: Session,
  file: OrderFile,
  {temp, key, file: {table}}: StagedTable,
): Promise<void> {
  if (key.length === 0) return;
  const columns = key.map((number) => `c${number}`).join(', ');
  const [row] = await session.query(
    `SELECT (${columns})::text AS key FROM ${temp} GROUP BY ${columns} HAVING count(*) > 1 LIMIT 1`,
  );
  if (row)
    throw invalidOrderFile(file.path, `in the rows of ${table}`, `a row occurs twice (${row['key'] ?? ''})`);
}

/**
 * Rough statistics are enough to join whole tables, and are made in a tenth of the time. Hash tables of a million keys
 * stay in memory: of the server, of one session, and for as long as conflicts are looked for.
 */
const plannerSettings = `SET LOCAL default_statistics_target = 10; SET LOCAL work_mem = '64MB'`;

/** Statistics for the planner, which otherwise joins row by row; the values of wide columns would take long to read. */
async function analyze(session: Session, staged: StagedTable): Promise<void> {
  const columns = ['line', 'reason', ...lookupColumns(staged).map((number) => `c${number}`)];
  await session.query(`ANALYZE ${staged.temp} (${columns.join(', ')})`);
}
