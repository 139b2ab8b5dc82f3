/** Brings the rows of an order backup into temporary tables of the session, as the target's types. */
import {AppError, withState} from '../errors.js';
import type {Session} from '../postgres/client.js';
import {copyInto} from '../postgres/copy-into.js';
import {quoteIdentifier} from '../postgres/quote.js';
import {
  addSoftLink,
  changedTypes,
  describeStaged,
  lookupColumns,
  type SharedColumn,
  type StagedTable,
} from './staged-table.js';
import type {FileTable, OrderFile, OrderFileSink} from './order-file.js';
import {invalidOrderFile} from './order-file-error.js';
import type {SoftLink} from './profile.js';
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
 * @throws ORDER_BACKUP_INVALID when the server cannot read a row, ROW_SECURITY
 */
export async function stageOrders(
  session: Session,
  file: OrderFile,
  softLinks: readonly SoftLink[],
): Promise<StagedOrders> {
  await session.query(`SET LOCAL search_path = ''`);
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
  await session.query('RESET search_path');
  await createTemporaryTables(session, file, [...rows, ...links]);
  // From here on the server itself sees to it that nothing but the temporary tables is written.
  await session.query('SET TRANSACTION READ ONLY');
  await copyFile(session, file);
  for (const [index, staged] of rows.entries()) {
    if (staged) await readable(file, staged, () => fillRows(session, staged, `pg_temp.destino_in_${index}`));
    if (staged && file.isFromOldScripts) await refuseDoubles(session, file, staged);
  }
  for (const [index, staged] of links.entries()) {
    if (staged)
      await readable(file, staged, () => fillLinks(session, staged, `pg_temp.destino_in_link_${index}`));
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
  file: OrderFile,
  staged: readonly (StagedTable | undefined)[],
): Promise<void> {
  const statements = [
    `CREATE TEMPORARY TABLE destino_in (tbl int, line bigint, doc json) PARTITION BY LIST (tbl)`,
  ];
  for (const index of file.tables.keys()) {
    statements.push(
      `CREATE TEMPORARY TABLE destino_in_${index} PARTITION OF pg_temp.destino_in FOR VALUES IN (${index})`,
    );
  }
  for (const index of file.relinked.keys()) {
    statements.push(
      `CREATE TEMPORARY TABLE destino_in_link_${index} PARTITION OF pg_temp.destino_in FOR VALUES IN (${-1 - index})`,
    );
  }
  for (const each of staged) {
    if (!each) continue;
    const columns = each.target.columns.map(({number, name}) => `t.${quoteIdentifier(name)} AS c${number}`);
    // Like the target's columns in type and collation, and without its constraints.
    statements.push(
      `CREATE TEMPORARY TABLE ${each.temp.replace('pg_temp.', '')} AS
         SELECT 0::bigint AS line, NULL::text AS reason, true AS selected, NULL::bytea AS hash, ${columns.join(', ')}
           FROM ${fromRelation(each.target)} t WITH NO DATA`,
    );
  }
  for (const statement of statements) await session.query(statement);
}

const fieldEnd = 0x02;
const rowQuote = 0x01;

async function copyFile(session: Session, file: OrderFile): Promise<void> {
  // JSON has no control characters inside its strings, so these two never stand in a row.
  const sql = `COPY pg_temp.destino_in (tbl, line, doc) FROM STDIN (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')`;
  try {
    await copyInto(session, sql, async (input) => {
      let pieces: Buffer[] = [];
      const add = (table: number, line: number, json: Buffer): void => {
        if (json.includes(rowQuote) || json.includes(fieldEnd)) {
          throw invalidOrderFile(file.path, `line ${line}`, 'a row holds a control character');
        }
        pieces.push(Buffer.from(`${table}\u0002${line}\u0002\u0001`), json, endOfRow);
      };
      const sink: OrderFileSink = {
        row: (table, line, buffer, start, end) => add(table, line, buffer.subarray(start, end)),
        link: (table, line, json) => add(-1 - table, line, json),
        drain: async () => {
          if (pieces.length === 0) return;
          const data = Buffer.concat(pieces);
          pieces = [];
          await input.write(data);
        },
      };
      await file.send(sink);
      await sink.drain();
    });
  } catch (error) {
    throw unreadable(file, error);
  }
}

const endOfRow = Buffer.from('\u0001\n');

async function fillRows(session: Session, staged: StagedTable, input: string): Promise<void> {
  const {temp, shared} = staged;
  const isExact = !staged.file.columns.some(({type}) => type === undefined) && staged.gone.length === 0;
  await session.query(
    `INSERT INTO ${temp} (line, ${['hash', ...shared.map(({column}) => `c${column.number}`)].join(', ')})
     SELECT s.line, ${["pg_catalog.sha256(pg_catalog.convert_to(s.doc::text, 'UTF8'))", ...shared.map((each) => valueOf('x', each))].join(', ')}
       FROM ${input} s, ${recordOf('s.doc', 'x', shared)}`,
  );
  if (!isExact) {
    // The file's text is not what the row will read like: what the server made of it is.
    const row = shared.map(({column}) => `s.c${column.number} AS ${quoteIdentifier(column.name)}`);
    await session.query(
      `UPDATE ${temp} s SET hash = (SELECT ${hashOf(staged.rowJson)} FROM (SELECT ${row.join(', ')}) t)`,
    );
  }
  await analyze(session, staged);
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
    throw invalidOrderFile(
      file.path,
      `in the rows of ${table}`,
      `a row stands there twice (${row['key'] ?? ''})`,
    );
}

/** Links: key and values; columns that `values` does not have get their value when the target's row is looked up. */
async function fillLinks(session: Session, staged: StagedTable, input: string): Promise<void> {
  const {temp, shared, target} = staged;
  const keyColumns = target.columns.filter((column) => staged.file.key.includes(column.name));
  const keyShared = keyColumns.map((column) => ({field: column.name, asText: column.asText, column}));
  const values = shared.filter(({column}) => !keyColumns.includes(column));
  await session.query(
    `INSERT INTO ${temp} (line, ${[...keyShared, ...values].map(({column}) => `c${column.number}`).join(', ')})
     SELECT s.line, ${[...keyShared.map((each) => valueOf('k', each)), ...values.map((each) => valueOf('v', each))].join(', ')}
       FROM ${input} s, ${recordOf(`(s.doc -> 'key')`, 'k', keyShared)}${values.length > 0 ? `, ${recordOf(`(s.doc -> 'values')`, 'v', values)}` : ''}`,
  );
  await analyze(session, staged);
}

function recordOf(json: string, alias: string, columns: readonly SharedColumn[]): string {
  const list = columns.map(
    ({field, asText, column}) => `${quoteIdentifier(field)} ${asText ? 'pg_catalog.text' : column.type}`,
  );
  return `LATERAL pg_catalog.json_to_record(${json}) AS ${alias}(${list.join(', ')})`;
}

function valueOf(alias: string, {field, asText, column}: SharedColumn): string {
  const value = `${alias}.${quoteIdentifier(field)}`;
  return asText ? `${value}::${column.type}` : value;
}

/** What the planner needs to know, or it joins row by row; the values of wide columns would take long to read. */
async function analyze(session: Session, staged: StagedTable): Promise<void> {
  const columns = ['line', 'reason', ...lookupColumns(staged).map((number) => `c${number}`)];
  await session.query(`ANALYZE ${staged.temp} (${columns.join(', ')})`);
}

/** SQL: SHA-256 of a text. */
export function hashOf(text: string): string {
  return `pg_catalog.sha256(pg_catalog.convert_to(${text}, 'UTF8'))`;
}

async function readable(file: OrderFile, staged: StagedTable, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw unreadable(file, error, staged);
  }
}

/** Data that the server refuses (SQLSTATE class 22) is the file's fault or that of a column whose type changed. */
function unreadable(file: OrderFile, error: unknown, staged?: StagedTable): unknown {
  if (!(error instanceof AppError)) return error;
  const cause = error.cause;
  const state = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (error.code !== 'QUERY_FAILED' || !state.startsWith('22')) return error;
  const where = staged ? `in the rows of ${staged.file.table}` : 'in its rows';
  const message = cause instanceof Error ? cause.message : error.message;
  const types = staged
    ? changedTypes(staged).map(({name, before, now}) => `${name} was ${before} and is ${now}`)
    : [];
  return withState(
    invalidOrderFile(file.path, where, `the server cannot read a value (${message})`),
    types.length > 0
      ? `Columns have changed: ${types.join('; ')}. Nothing was changed.`
      : 'Nothing was changed.',
  );
}
