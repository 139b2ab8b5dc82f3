/** Switches a table's own triggers off for a transaction and back to exactly what they were. */
import {z} from 'zod';
import {AppError, type ErrorCode} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteQualified} from '../../postgres/quote.js';

const triggerRow = z.object({
  id: z.string(),
  /** The table that was asked about. */
  top: z.string(),
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  /** O: enabled, D: disabled, R: on replicas only, A: always. */
  state: z.enum(['O', 'D', 'R', 'A']),
  is_owner: pgBoolean,
});
type Trigger = z.infer<typeof triggerRow>;

/** Partitions have triggers of their own, parents first. */
const triggersSql = `
  SELECT tg.oid::text AS id, top.oid::text AS top, n.nspname AS schema, c.relname AS table, tg.tgname AS name, tg.tgenabled AS state,
         pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner
    FROM pg_catalog.unnest($1::pg_catalog.oid[]) top(oid)
    CROSS JOIN LATERAL (SELECT relid::pg_catalog.oid AS oid, level FROM pg_catalog.pg_partition_tree(top.oid)
                        UNION SELECT top.oid, 0) tree
    JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_trigger tg ON tg.tgrelid = c.oid AND NOT tg.tgisinternal
   ORDER BY tree.level, c.oid, tg.tgname`;

const wordFor = {O: 'ENABLE', D: 'DISABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS'} as const;

export interface FiringTriggers {
  /** Tables (by oid) that have triggers of the second kind. */
  readonly foreignTables: ReadonlySet<string>;
  /** Triggers that would fire and that this role may switch off. */
  readonly ours: readonly string[];
  /** Triggers that will fire, because this role does not own their tables. */
  readonly foreign: readonly string[];
}

/** The user triggers of the tables that fire in an ordinary session: "schema.table: name". */
export async function listFiringTriggers(
  session: Session,
  tables: readonly string[],
): Promise<FiringTriggers> {
  const firing = (await readTriggers(session, tables)).filter(({state}) => state === 'O' || state === 'A');
  const found = firing.filter((trigger) => !trigger.is_owner);
  const label = ({schema, table, name}: Trigger): string => `${schema}.${table}: ${name}`;
  return {
    ours: firing.filter((trigger) => trigger.is_owner).map(label),
    foreign: found.map(label),
    foreignTables: new Set(found.map(({top}) => top)),
  };
}

/**
 * Runs `work` with the user triggers of the tables (by oid) off, as far as this role owns them; inside a transaction.
 * The foreign keys' own triggers stay on. Writers on the tables wait meanwhile.
 * @throws `failureCode` when a trigger could not be set back
 */
export async function withoutUserTriggers<T>(
  session: Session,
  tables: readonly string[],
  failureCode: ErrorCode,
  work: () => Promise<T>,
): Promise<T> {
  const before = await readTriggers(session, tables);
  for (const trigger of before) {
    if (trigger.is_owner && (trigger.state === 'O' || trigger.state === 'A'))
      await setState(session, trigger, 'D');
  }
  const result = await work();
  // A parent's state goes down to its partitions on some versions, hence each is set from its own record, parents first.
  for (const trigger of before) {
    const now = (await readTriggers(session, tables)).find(({id}) => id === trigger.id);
    if (now && now.state !== trigger.state) await setState(session, trigger, trigger.state);
  }
  const after = new Map((await readTriggers(session, tables)).map(({id, state}) => [id, state]));
  const changed = before.find(({id, state}) => after.get(id) !== state);
  if (changed) {
    throw new AppError(
      failureCode,
      `The trigger ${changed.name} of ${changed.schema}.${changed.table} could not be set back; nothing was changed.`,
    );
  }
  return result;
}

async function readTriggers(session: Session, tables: readonly string[]): Promise<Trigger[]> {
  return parseRows(triggerRow, await session.query(triggersSql, [tables]));
}

async function setState(
  session: Session,
  {schema, table, name}: Trigger,
  state: Trigger['state'],
): Promise<void> {
  await session.query(
    `ALTER TABLE ONLY ${quoteQualified(schema, table)} ${wordFor[state]} TRIGGER ${quoteIdentifier(name)}`,
  );
}
