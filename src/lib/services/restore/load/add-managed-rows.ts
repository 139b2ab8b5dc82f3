/** Adds missing rows of a backup to the platform's tables; present rows are not changed, unless a masked copy replaces them. */
import {z} from 'zod';
import {qualifiedName} from '../../../base/qualified-name.js';
import type {DumpedTable} from '../../../fingerprint/table-contents.js';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import type {Session} from '../../../postgres/client.js';
import {jsonText, parseRows, pgBoolean} from '../../../postgres/inspect/inspect-database.js';
import {messageOf} from '../../../base/errors.js';
import {type NamedTable, quoteIdentifier, quoteLiteral, quoteQualified} from '../../../postgres/quote.js';
import {isJobTable, scheduleJobs} from './schedule-jobs.js';
import {setTriggers, silenceTriggers} from '../../../postgres/silence-triggers.js';

export interface AddedRows {
  /** "auth.users" */
  readonly table: string;
  readonly added: number;
  /** Rows of the backup that were not added: their key or another unique value exists, or a row that they refer to is missing. */
  readonly kept: number;
  /** Reasons why jobs were not created, a line each. */
  readonly refused?: readonly string[];
}

export interface ManagedRows {
  /** The statement to run instead of the one that loads rows of such a table; undefined for other statements. */
  before(statement: DumpStatement): Promise<string | undefined>;
  /** Adds the loaded rows. */
  finish(): Promise<AddedRows[]>;
  /** Tables to replace whose present rows could not be deleted, with the server's message. */
  notEmptied(): readonly {readonly table: string; readonly why: string}[];
}

interface Arrived {
  readonly table: DumpedTable;
  readonly temporary: string;
}

/** Types of sections that come after the rows in a dump. */
const afterRows = new Set([
  'CHECK CONSTRAINT', 'CONSTRAINT', 'EVENT TRIGGER', 'FK CONSTRAINT', 'INDEX', 'INDEX ATTACH', 'POLICY', 'PUBLICATION',
  'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'ROW SECURITY', 'RULE', 'STATISTICS', 'TRIGGER',
]); // prettier-ignore

/**
 * Loads rows into temporary tables, and adds them before foreign keys of the user's tables refer to them. Needs an open transaction.
 * @param replaced tables that lose their present rows first
 * @param source name of the dumped database
 * @param onAdded called after rows were added
 */
export function addManagedRows(
  session: Session,
  tables: readonly DumpedTable[],
  replaced: readonly NamedTable[],
  {source, onAdded}: {readonly source: string | undefined; readonly onAdded: () => Promise<void>},
): ManagedRows {
  const byName = new Map(tables.map((table) => [`${table.schema} ${table.name}`, table]));
  const arrived: Arrived[] = [];
  const notEmptied: {table: string; why: string}[] = [];
  let added: AddedRows[] | undefined;
  const finish = async (): Promise<AddedRows[]> => {
    if (added) return added;
    for (const table of replaced) {
      const why = await empty(session, table);
      if (why !== undefined) notEmptied.push({table: qualifiedName(table), why});
    }
    added = await add(session, arrived, source);
    if (added.length > 0) await onAdded();
    return added;
  };
  return {
    finish,
    notEmptied: () => notEmptied,
    async before({section}) {
      if (section && afterRows.has(section.type) && arrived.length + replaced.length > 0) await finish();
      const table =
        section?.type === 'TABLE DATA' ? byName.get(`${section.schema} ${section.name}`) : undefined;
      if (!table) return undefined;
      const name = quoteQualified(table.schema, table.name);
      const temporary = `destino_rows_${arrived.length + 1}`;
      await session.query(`CREATE TEMPORARY TABLE ${temporary} (LIKE ${name}) ON COMMIT DROP`);
      arrived.push({table, temporary});
      return `COPY pg_temp.${temporary} (${columnsOf(table)}) FROM stdin;`;
    },
  };
}

/** Foreign keys cascade, and triggers can refuse. @returns why the rows are still there */
async function empty(session: Session, {schema, name}: NamedTable): Promise<string | undefined> {
  const table = quoteQualified(schema, name);
  // A trigger for each statement refuses also where there are none.
  if ((await session.query(`SELECT 1 FROM ${table} LIMIT 1`)).length === 0) return undefined;
  await session.query('SAVEPOINT destino_rows');
  try {
    await session.query(`DELETE FROM ${table}`);
  } catch (error) {
    await session.query('ROLLBACK TO SAVEPOINT destino_rows');
    return messageOf(error);
  } finally {
    await session.query('RELEASE SAVEPOINT destino_rows');
  }
  return undefined;
}

const columnsOf = ({columns}: DumpedTable): string => columns.map(quoteIdentifier).join(', ');

const factsRow = z.object({
  place: z.string(),
  is_keyed: pgBoolean,
  may_insert: pgBoolean,
  references: jsonText(
    z.array(
      z.object({schema: z.string(), name: z.string(), columns: z.array(z.tuple([z.string(), z.string()]))}),
    ),
  ),
  refers_to_itself: pgBoolean,
  sequences: jsonText(z.array(z.object({sequence: z.string(), column: z.string()}))),
});
type Facts = z.infer<typeof factsRow>;

const factsSql = `
  SELECT w.place, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique) AS is_keyed,
         pg_catalog.has_table_privilege(c.oid, 'INSERT') AS may_insert,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('schema', pn.nspname, 'name', p.relname, 'columns',
             (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, b.attname))
                FROM unnest(k.conkey, k.confkey) AS u(own, other)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own
                JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.other))), '[]')
            FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
           WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid) AS references,
         EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.confrelid = c.oid) AS refers_to_itself,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('sequence', pg_catalog.format('%I.%I', sn.nspname, s.relname), 'column', a.attname)), '[]')
            FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
            JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid AND d.deptype IN ('a', 'i')
             AND CASE s.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(s.oid, 'UPDATE') AND pg_catalog.has_sequence_privilege(s.oid, 'SELECT') END) AS sequences
    FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.text[]) AS w(place, schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name`;

async function add(
  session: Session,
  arrived: readonly Arrived[],
  source: string | undefined,
): Promise<AddedRows[]> {
  if (arrived.length === 0) return [];
  const facts = new Map(
    parseRows(
      factsRow,
      await session.query(factsSql, [
        arrived.map(({temporary}) => temporary),
        arrived.map(({table}) => table.schema),
        arrived.map(({table}) => table.name),
      ]),
    ).map((row) => [row.place, row]),
  );
  const results: AddedRows[] = [];
  const isSilent = await silenceTriggers(session);
  for (const one of parentsFirst(arrived, facts)) {
    const {table, temporary} = one;
    const fact = facts.get(temporary);
    // Without triggers, foreign keys are not checked; the statement itself checks those to other tables. A trigger of pg_cron starts a job.
    const needsTriggers = fact?.refers_to_itself === true || isJobTable(table);
    if (isSilent) await setTriggers(session, needsTriggers ? 'origin' : 'replica');
    if (isJobTable(table)) {
      const {added, refused} = await scheduleJobs(session, temporary, source);
      results.push({
        table: qualifiedName(table),
        added,
        kept: table.rows - added - refused.length,
        refused,
      });
      continue;
    }
    const added = fact?.may_insert === true ? await insert(session, one, fact) : 0;
    results.push({table: qualifiedName(table), added, kept: table.rows - added});
  }
  if (isSilent) await setTriggers(session, 'DEFAULT');
  return results.sort((a, b) => (a.table < b.table ? -1 : 1));
}

async function insert(session: Session, {table, temporary}: Arrived, fact: Facts): Promise<number> {
  const target = quoteQualified(table.schema, table.name);
  // If a row is left out, for example because its e-mail address is taken now, rows that refer to it are left out too.
  const conditions = fact.references.map(({schema, name, columns}) => {
    const isNull = columns.map(([own]) => `t.${quoteIdentifier(own)} IS NULL`).join(' OR ');
    const isEqual = columns
      .map(([own, other]) => `p.${quoteIdentifier(other)} = t.${quoteIdentifier(own)}`)
      .join(' AND ');
    return `(${isNull} OR EXISTS (SELECT FROM ${quoteQualified(schema, name)} p WHERE ${isEqual}))`;
  });
  // Without a key, present rows cannot be recognised.
  if (!fact.is_keyed) conditions.push(`NOT EXISTS (SELECT FROM ${target})`);
  const where = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
  const [row] = await session.query(
    `WITH added AS (
       INSERT INTO ${target} (${columnsOf(table)}) OVERRIDING SYSTEM VALUE
       SELECT ${columnsOf(table)} FROM pg_temp.${temporary} t${where} ON CONFLICT DO NOTHING RETURNING 1)
     SELECT pg_catalog.count(*) AS added FROM added`,
  );
  const added = Number(row?.['added'] ?? 0);
  for (const {sequence, column} of added > 0 ? fact.sequences : [])
    await session.query(
      `SELECT pg_catalog.setval(${quoteLiteral(sequence)}::pg_catalog.regclass, greatest((SELECT pg_catalog.max(t.${quoteIdentifier(column)}) FROM ${target} t), (SELECT s.last_value FROM ${sequence} s)))`,
    );
  return added;
}

/** Sorts tables after those that they refer to; within a circle, the order is unchanged. */
function parentsFirst(arrived: readonly Arrived[], facts: ReadonlyMap<string, Facts>): Arrived[] {
  const byTable = new Map(arrived.map((one) => [quoteQualified(one.table.schema, one.table.name), one]));
  const ordered = new Set<Arrived>();
  const visiting = new Set<Arrived>();
  const visit = (one: Arrived): void => {
    if (ordered.has(one) || visiting.has(one)) return;
    visiting.add(one);
    for (const {schema, name} of facts.get(one.temporary)?.references ?? []) {
      const before = byTable.get(quoteQualified(schema, name));
      if (before) visit(before);
    }
    ordered.add(one);
  };
  for (const one of arrived) visit(one);
  return [...ordered];
}
