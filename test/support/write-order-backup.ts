/** Writes order backups and deletes their rows in the simplest form that tests of the restore need. */
import {writeFile} from 'node:fs/promises';
import {createRowHashSum} from '../../src/lib/fingerprint/row-hash.js';
import {relinkedLinePrefix, rowLinePrefix, snapshotMarks} from '../../src/lib/rows/file/format.js';
import {carriedAsText, rowJsonExpression} from '../../src/lib/rows/model/row-json.js';
import {withAppSession} from './app-session.js';
import {quoteLiteral, quoteQualified} from '../../src/lib/postgres/quote.js';
import type {TempDatabase} from './temp-database.js';

export interface TakenTable {
  /** "schema.name" */
  table: string;
  /** SQL condition on the row `t`. */
  where: string;
}

export interface TakenLinks extends TakenTable {
  columns: string[];
}

export interface OrderBackupContent {
  roots: string[];
  /** Parents first. */
  tables: TakenTable[];
  relinked?: TakenLinks[];
  /** Changes the rows' texts before they are written and hashed. */
  edit?: (table: string, rows: string[]) => string[];
  /** Changes the metadata before it is written. */
  change?: (metadata: Record<string, unknown>) => void;
}

type DescribedTable = Awaited<ReturnType<typeof describe>> & {rows: number; checksum: string};

/** Writes the file in the form of orders:clean; deletes nothing. */
export async function writeOrderBackup(
  database: Pick<TempDatabase, 'name' | 'query'>,
  path: string,
  content: OrderBackupContent,
): Promise<void> {
  const tables: DescribedTable[] = [];
  const lines: string[] = [];
  for (const taken of content.tables) {
    const described = await describe(database, taken.table);
    const texts = await textsOf(database, taken, rowJsonExpression('t', described.columns));
    const rows = content.edit?.(taken.table, texts) ?? texts;
    lines.push(...rows.map((row) => `${rowLinePrefix(taken.table)}${row}}`));
    tables.push({...described, rows: rows.length, checksum: sumOf(rows)});
  }
  const relinked: DescribedTable[] = [];
  const links: string[] = [];
  for (const taken of content.relinked ?? []) {
    const described = await describe(database, taken.table);
    const columns = described.columns.filter(({name}) => taken.columns.includes(name));
    const key = described.columns.filter(({name}) => described.key.includes(name));
    const text = `'"key":' || ${rowJsonExpression('t', key)} || ',"values":' || ${rowJsonExpression('t', columns)}`;
    const rows = await textsOf(database, taken, text);
    links.push(...rows.map((row) => `${relinkedLinePrefix(taken.table)}${row}}`));
    relinked.push({...described, columns, rows: rows.length, checksum: sumOf(rows)});
  }
  const metadata: Record<string, unknown> = {
    schemaVersion: 1,
    kind: 'order-backup',
    toolVersion: '0.1.0',
    timestamp: '2026-11-22T03:10:00.000Z',
    database: {
      name: database.name,
      systemIdentifier: null,
      host: 'localhost',
      port: 5432,
      serverVersion: '15',
    },
    profile: {
      name: 'test',
      roots: content.roots.map((table) => ({table, schema: '', name: '', key: ['id']})),
    },
    criteria: {
      testEmailsOnly: false,
      includeOld: false,
      includeCustomers: false,
      from: null,
      to: null,
      timeZone: 'UTC',
      excludedIds: [],
    },
    reasons: {},
    guards: {},
    plan: 'test',
    roots: Object.fromEntries(
      content.roots.map((root) => [root, tables.find(({table}) => table === root)?.rows ?? 0]),
    ),
    tables,
    relinked,
    totalRows: lines.length,
  };
  content.change?.(metadata);
  const {beforeMetadata, afterMetadata, beforeRows, beforeRelinked, end} = snapshotMarks;
  const list = (each: string[]): string =>
    each.map((line, index) => `${line}${index < each.length - 1 ? ',' : ''}\n`).join('');
  await writeFile(
    path,
    `${beforeMetadata}${JSON.stringify(metadata)}   ${afterMetadata}${beforeRows}${list(lines)}${beforeRelinked}${list(links)}${end}`,
  );
}

/** Deletes the rows, children first. */
export async function deleteTaken(database: TempDatabase, content: OrderBackupContent): Promise<void> {
  const deletes = content.tables
    .toReversed()
    .map(({table, where}) => `DELETE FROM ${quoted(table)} t WHERE ${where};`);
  await database.run(`BEGIN; SET CONSTRAINTS ALL DEFERRED; ${deletes.join('\n')} COMMIT;`);
}

/** The rows of every table in the server's text form, sorted. */
export async function contentOf(database: TempDatabase): Promise<Record<string, string[]>> {
  return withAppSession(database.connection, async (session) => {
    const tables = await session.query(
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`,
    );
    const content: Record<string, string[]> = {};
    for (const {name} of tables) {
      const rows = await session.query(
        `SELECT t::text AS row FROM ONLY ${name ?? ''} t ORDER BY t::text COLLATE "C"`,
      );
      content[name ?? ''] = rows.map(({row}) => row ?? '');
    }
    return content;
  });
}

export function quoted(table: string): string {
  const [schema = '', ...name] = table.split('.');
  return quoteQualified(schema, name.join('.'));
}

async function describe(database: Pick<TempDatabase, 'query'>, table: string) {
  const [schema = '', ...rest] = table.split('.');
  const columns = await database.query(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS generated,
            a.attidentity AS identity, ${carriedAsText('ty')} AS as_text,
            a.attnum = ANY ((SELECT conkey FROM pg_constraint WHERE conrelid = a.attrelid AND contype = 'p')::int2[]) AS is_key
       FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid
      WHERE a.attrelid = ${quoteLiteral(quoted(table))}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  );
  const identities: Readonly<Record<string, string>> = {a: 'always', d: 'by default'};
  return {
    table,
    schema,
    name: rest.join('.'),
    columns: columns.map((column) => ({
      name: column['name'] ?? '',
      type: column['type'] ?? '',
      generated: column['generated'] === 't',
      identity: identities[column['identity'] ?? ''] ?? null,
      asText: column['as_text'] === 't',
    })),
    key: columns.filter((column) => column['is_key'] === 't').map((column) => column['name'] ?? ''),
  };
}

async function textsOf(
  database: Pick<TempDatabase, 'query'>,
  {table, where}: TakenTable,
  text: string,
): Promise<string[]> {
  const rows = await database.query(`SELECT ${text} AS text FROM ${quoted(table)} t WHERE ${where}`);
  return rows.map((row) => row['text'] ?? '');
}

function sumOf(rows: readonly string[]): string {
  const sum = createRowHashSum();
  for (const row of rows) {
    const bytes = Buffer.from(row);
    sum.add(bytes, 0, bytes.length);
  }
  return sum.digest();
}
