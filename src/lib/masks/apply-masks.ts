/** Runs the planned masks in a restored database. */
import {z} from 'zod';
import {AppError, systemErrorCode} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import {type Session, withTransaction} from '../postgres/client.js';
import {beginCopy} from '../postgres/copy-into.js';
import {parseOnlyRow, parseRows, pgBoolean} from '../postgres/inspect/inspect-database.js';
import {quoteQualified} from '../postgres/quote.js';
import {silenceTriggers} from '../postgres/silence-triggers.js';
import {hasSqlState} from '../postgres/sql-state.js';
import type {Step} from '../progress/progress.js';
import {withoutUserTriggers} from '../rows/staging/user-triggers.js';
import {keyTable} from './mask-sql.js';
import type {MaskedTable, MaskPlan} from './plan-masks.js';

export interface MaskedRows {
  /** "schema.table" */
  readonly table: string;
  readonly rows: number;
}

export interface MaskOptions {
  /** At least 16 bytes; the same key gives the same masked values. */
  readonly key: Buffer;
  readonly step: Step;
}

/**
 * Masks in one transaction, then removes the old values from the data files, the statistics and the materialized views.
 * @param session outside a transaction, in a database that nobody else uses
 * @throws MASK_REFUSED where a constraint refuses a masked value; nothing is changed then
 */
export async function applyMasks(
  session: Session,
  plan: MaskPlan,
  {key, step}: MaskOptions,
): Promise<MaskedRows[]> {
  const masked: MaskedRows[] = [];
  const total = plan.tables.length * 2;
  await sendKey(session, key);
  try {
    await withTransaction(session, '', () =>
      withoutTriggers(session, plan, async () => {
        // Rows that a policy hides would keep their values; the server refuses the statement instead.
        await session.query('SET LOCAL row_security = off');
        if (plan.emptied.length > 0)
          await session.query(
            `TRUNCATE ${plan.emptied.map(({schema, name}) => quoteQualified(schema, name)).join(', ')}`,
          );
        for (const table of plan.tables) {
          step.working(qualifiedName(table));
          masked.push({table: qualifiedName(table), rows: await update(session, table)});
          step.advance(masked.length, total, 'tables');
        }
      }),
    );
  } finally {
    await session.query(`DROP TABLE IF EXISTS ${keyTable}`).catch(() => undefined); // the session may be gone
  }
  await removeOldValues(session, plan, (done) => step.advance(plan.tables.length + done, total, 'tables'));
  return masked;
}

/** The key as the two pads of HMAC (RFC 2104), by COPY: rows of a COPY appear in no log and no view of running statements. */
async function sendKey(session: Session, key: Buffer): Promise<void> {
  if (key.length < 16 || key.length > 64) throw new Error('the key of the masks has 16 to 64 bytes');
  const padded = Buffer.concat([key, Buffer.alloc(64 - key.length)]);
  const pad = (byte: number): string =>
    `\\\\x${Buffer.from(padded.map((each) => each ^ byte)).toString('hex')}`;
  await session.query(`CREATE TEMPORARY TABLE destino_mask_key (inner_pad bytea, outer_pad bytea)`);
  const input = await beginCopy(session, `COPY ${keyTable} (inner_pad, outer_pad) FROM STDIN`);
  await input.write(Buffer.from(`${pad(0x36)}\t${pad(0x5c)}\n`));
  await input.end();
}

const firingRow = z.object({always: pgBoolean, is_owner: pgBoolean});

/** No trigger fires, and none of foreign keys where the role may switch these off. */
async function withoutTriggers(session: Session, plan: MaskPlan, work: () => Promise<void>): Promise<void> {
  const oids = plan.tables.map(({oid}) => oid);
  const {always, is_owner: isOwner} = parseOnlyRow(
    firingRow,
    await session.query(
      `SELECT coalesce(pg_catalog.bool_or(tg.tgenabled IN ('A', 'R')), false) AS always,
              coalesce(pg_catalog.bool_and(pg_catalog.pg_has_role(c.relowner, 'USAGE')), true) AS is_owner
         FROM unnest($1::oid[]) top(oid)
        CROSS JOIN LATERAL (SELECT relid::oid AS oid FROM pg_catalog.pg_partition_tree(top.oid) UNION SELECT top.oid) tree
         JOIN pg_catalog.pg_trigger tg ON tg.tgrelid = tree.oid AND NOT tg.tgisinternal JOIN pg_catalog.pg_class c ON c.oid = tree.oid`,
      [oids],
    ),
  );
  if (!always && (await silenceTriggers(session))) return work();
  if (plan.changesKeys || !isOwner)
    throw new AppError(
      'MASK_REFUSED',
      plan.changesKeys
        ? 'Masks change columns of foreign keys, but this role cannot switch off their triggers. Nothing was masked.'
        : 'Masked tables have triggers that this role cannot switch off. Nothing was masked.',
      {
        hint: 'Restore and mask as a role that may set session_replication_role, or as the owner of the tables.',
      },
    );
  return withoutUserTriggers(session, oids, 'MASK_REFUSED', work);
}

const constraintError = z.object({
  constraint: z.string().optional(),
  column: z.string().optional(),
});

/** The server's own message is not passed on: it shows values of the row. */
async function update(session: Session, table: MaskedTable): Promise<number> {
  try {
    return await session.execute(table.sql);
  } catch (error) {
    if (!hasSqlState(error, '22', '23', '42804', '42846', 'P0')) throw error;
    const {data} = constraintError.safeParse(error.cause);
    const by = data?.constraint ?? data?.column;
    throw new AppError(
      'MASK_REFUSED',
      `The server refuses a masked value of ${qualifiedName(table)}${by === undefined ? '' : ` by "${by}"`} (SQLSTATE ${systemErrorCode(error.cause) ?? ''}). Nothing was masked.`,
      {
        hint: `Masked columns of the table: ${table.columns.map(({name, mask}) => `${name} (${mask.mask})`).join(', ')}. Choose masks that its constraints accept.`,
      },
    );
  }
}

const viewRow = z.object({schema: z.string(), name: z.string()});

/** Dead rows, samples in statistics, and materialized views show old values. */
async function removeOldValues(
  session: Session,
  plan: MaskPlan,
  onTable: (done: number) => void,
): Promise<void> {
  for (const [index, {schema, name}] of plan.tables.entries()) {
    await session.query(`VACUUM (FULL, ANALYZE) ${quoteQualified(schema, name)}`);
    onTable(index + 1);
  }
  const views = parseRows(viewRow, await session.query(viewsSql));
  for (const {schema, name} of views)
    await session.query(`REFRESH MATERIALIZED VIEW ${quoteQualified(schema, name)}`);
  for (const {schema, name} of views) await session.query(`ANALYZE ${quoteQualified(schema, name)}`);
}

/** Populated materialized views, those that others read first. */
const viewsSql = `
  WITH RECURSIVE reads AS (
    SELECT DISTINCT w.ev_class AS reader, d.refobjid AS relation
      FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
       AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.ev_class),
  depths AS (
    SELECT c.oid, 0 AS depth FROM pg_catalog.pg_class c WHERE c.relkind = 'm'
    UNION
    SELECT reads.reader, depths.depth + 1 FROM depths JOIN reads ON reads.relation = depths.oid)
  SELECT n.nspname AS schema, c.relname AS name
    FROM depths JOIN pg_catalog.pg_class c ON c.oid = depths.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'm' AND c.relispopulated GROUP BY n.nspname, c.relname ORDER BY pg_catalog.max(depths.depth), 1, 2`;
