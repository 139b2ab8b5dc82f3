/** Fills the masked tables of a restored database again, from the rows before. */
import {createHmac} from 'node:crypto';
import {z} from 'zod';
import {AppError, systemErrorCode} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {beginCopy} from '../postgres/copy-into.js';
import {inSessions, type Workers} from '../postgres/in-sessions.js';
import {hasSqlState} from '../postgres/sql-state.js';
import type {Step} from '../progress/progress.js';
import {keyTable} from './mask-sql.js';
import {originalOf, type Originals} from './originals.js';
import {piecesOf, prepareSession} from './work-sessions.js';
import {fromTable, type MaskedTable, type MaskPlan} from './plan-masks.js';

export interface MaskedRows {
  /** "schema.table" */
  readonly table: string;
  readonly rows: number;
}

export interface MaskOptions {
  /** At least 16 bytes; the same key gives the same masked values. */
  readonly key: Buffer;
  readonly step: Step;
  /** The table with the rows to mask, as SQL; by default the one with the rows before. */
  readonly sourceOf?: (table: MaskedTable) => string;
}

/** One statement masks the rows of some pages. */
interface Piece {
  readonly table: MaskedTable;
  readonly where: string;
}

/**
 * Empties the tables, which also removes their data files, and fills the masked ones. After an error the database has a part of its rows.
 * @param workers for a database that nobody else uses, before it has keys and triggers
 * @throws MASK_REFUSED where a constraint refuses a masked value
 */
export async function applyMasks(
  workers: Workers,
  plan: MaskPlan,
  originals: Originals,
  {key, step, sourceOf = (table) => originalOf(originals, table)}: MaskOptions,
): Promise<MaskedRows[]> {
  const pieces: Piece[] = [];
  await inSessions(workers, [
    async (session) => {
      const emptied = [...plan.emptied.map(fromTable), ...plan.tables.map(({table}) => fromTable(table))];
      if (emptied.length > 0) await session.query(`TRUNCATE ${emptied.join(', ')}`);
      for (const table of plan.tables)
        for (const where of await piecesOf(session, sourceOf(table))) pieces.push({table, where});
    },
  ]);
  const rows = new Map(plan.tables.map((table) => [qualifiedName(table), 0]));
  const total = plan.tables.reduce(
    (sum, {table}) => sum + (originals.rows.get(qualifiedName(table)) ?? 0),
    0,
  );
  let done = 0;
  await inSessions(
    workers,
    pieces.map((piece) => async (session: Session) => {
      const of = qualifiedName(piece.table);
      step.working(of);
      const inserted = await insert(session, sourceOf(piece.table), piece);
      rows.set(of, (rows.get(of) ?? 0) + inserted);
      step.advance((done += inserted), total, 'rows');
    }),
    async (session) => {
      await prepareSession(session);
      await sendKey(session, key);
    },
  );
  return [...rows].map(([table, count]) => ({table, rows: count}));
}

/** The key by COPY: rows of a COPY appear in no log and no view of running statements. */
async function sendKey(session: Session, key: Buffer): Promise<void> {
  if (key.length < 16) throw new Error('the key of the masks has at least 16 bytes');
  const own = createHmac('sha256', key).update('masks').digest('hex');
  await session.query('CREATE TEMPORARY TABLE destino_mask_key (key bytea)');
  const input = await beginCopy(session, `COPY ${keyTable} (key) FROM STDIN`);
  await input.write(Buffer.from(`\\\\x${own}\n`));
  await input.end();
}

const constraintError = z.object({
  constraint: z.string().optional(),
  column: z.string().optional(),
});

/** The server's own message is not passed on: it shows values of the row. */
async function insert(session: Session, from: string, {table, where}: Piece): Promise<number> {
  try {
    return await session.execute(table.insert(from, where));
  } catch (error) {
    if (!hasSqlState(error, '22', '23', '42804', '42846', 'P0')) throw error;
    const {data} = constraintError.safeParse(error.cause);
    throw refusedValue(table, data?.constraint ?? data?.column, systemErrorCode(error.cause));
  }
}

/** The error for masked values that the server refuses. */
export function refusedValue(
  {columns, ...table}: MaskedTable,
  by: string | undefined,
  sqlState: string | undefined,
): AppError {
  return new AppError(
    'MASK_REFUSED',
    `The server refuses a masked value of ${qualifiedName(table)}${by === undefined ? '' : ` by "${by}"`}${sqlState === undefined ? '' : ` (SQLSTATE ${sqlState})`}. Nothing was masked.`,
    {
      hint: `Masked columns of the table: ${columns.map(({name, mask}) => `${name} (${mask.mask})`).join(', ')}. Choose masks that its constraints accept.`,
    },
  );
}
