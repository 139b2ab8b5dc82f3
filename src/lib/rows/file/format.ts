/**
 * The file that a cleaning or `restore:rows` leaves behind: JSON with the metadata on line 1 and one row a line after it.
 *
 *     {"metadata":{...},
 *     "rows":[
 *     {"table":"public.orders","row":{...}},
 *     {"table":"public.order_items","row":{...}}
 *     ],
 *     "relinked":[
 *     {"table":"public.reviews","key":{...},"values":{...}}
 *     ]}
 *
 * Rows are in insert order (parents first). `row` is what rowJsonExpression (row-json.ts) gives, as the server made it,
 * so that no value ever becomes a JavaScript number or date.
 */
import {z} from 'zod';

const count = z.int().min(0);
const counts = z.record(z.string(), count);
/** 32 lower-case hexadecimal digits: the order-independent sum of the row hashes. */
const checksum = z.string().regex(/^[0-9a-f]{32}$/);

const snapshotColumn = z.object({
  name: z.string(),
  /** As format_type writes it: "numeric(10,2)". */
  type: z.string(),
  /** GENERATED ALWAYS AS (...): never inserted, the server computes it. */
  generated: z.boolean(),
  identity: z.enum(['always', 'by default']).nullable(),
  /** Carried as its text in a JSON string; see row-json.ts. */
  asText: z.boolean(),
});

const snapshotTable = z.object({
  /** "schema.name" without quotes, as in the lines. */
  table: z.string(),
  schema: z.string(),
  name: z.string(),
  rows: count,
  /** Over the texts of `row`; of rows that stayed over `"key":{...},"values":{...}`. */
  checksum,
  /** Of rows that stayed those of `values`: of the link, and all others where a trigger could change the row as it is unlinked. */
  columns: z.array(snapshotColumn),
  /** The primary key's columns; empty for a table without one. */
  key: z.array(z.string()),
});

/** Metadata of every row file. */
const rowFile = z.object({
  schemaVersion: z.literal(1),
  toolVersion: z.string(),
  /** ISO 8601, UTC. */
  timestamp: z.string(),
  database: z.object({
    name: z.string(),
    systemIdentifier: z.string().nullable(),
    host: z.string(),
    port: z.int(),
    serverVersion: z.string(),
  }),
  /** The hash that `--plan` takes. */
  plan: z.string(),
  /** Tables of deleted rows, or of rows as they were written, in insert order: parents before children. */
  tables: z.array(snapshotTable),
  /** Tables whose rows stayed and lost values: a link (ON DELETE SET NULL, SET DEFAULT), or what was overwritten. */
  relinked: z.array(snapshotTable),
  /** Lines in "rows". */
  totalRows: count,
});

export const orderBackup = rowFile.extend({
  kind: z.literal('order-backup'),
  profile: z.object({
    name: z.string(),
    /** The tables that contain orders. */
    roots: z.array(
      z.object({table: z.string(), schema: z.string(), name: z.string(), key: z.array(z.string())}),
    ),
  }),
  criteria: z.object({
    testEmailsOnly: z.boolean(),
    includeOld: z.boolean(),
    includeCustomers: z.boolean(),
    /** First and last day, YYYY-MM-DD in `timeZone`. */
    from: z.string().nullable(),
    to: z.string().nullable(),
    timeZone: z.string(),
    excludedIds: z.array(z.string()),
  }),
  /** How many orders each reason chose; an order can have several. */
  reasons: counts,
  /** How many matching orders each guard kept. */
  guards: counts,
  /** Deleted orders by table. */
  roots: counts,
});

export const rowUndo = rowFile.extend({
  kind: z.literal('row-undo'),
  /** The backup that the rows came from. */
  backup: z.string(),
  /** Number of the transaction that wrote the rows, as text. */
  transaction: z.string().optional(),
});

export const snapshotMetadata = z.discriminatedUnion('kind', [orderBackup, rowUndo]);

export type SnapshotMetadata = z.infer<typeof snapshotMetadata>;
export type OrderBackupMetadata = z.infer<typeof orderBackup>;
export type RowUndoMetadata = z.infer<typeof rowUndo>;
export type SnapshotTable = z.infer<typeof snapshotTable>;
export type SnapshotColumn = z.infer<typeof snapshotColumn>;

export const snapshotMarks = {
  beforeMetadata: '{"metadata":',
  afterMetadata: ',\n',
  beforeRows: '"rows":[\n',
  beforeRelinked: '],\n"relinked":[\n',
  end: ']}\n',
} as const;

/** The text before the server's text on a line: `{"table":"public.orders","row":`. A `}` follows it. */
export function rowLinePrefix(table: string): string {
  return `{"table":${JSON.stringify(table)},"row":`;
}

/** The text before `"key":{...},"values":{...}` on a line. A `}` follows it. */
export function relinkedLinePrefix(table: string): string {
  return `{"table":${JSON.stringify(table)},`;
}
