/** Entries of a dump that are not restored, each with the reason. */
import type {ObjectName} from './dump-contents.js';
import type {DumpSection} from './plain-dump-filter.js';

type Entry = Pick<DumpSection, 'type' | 'schema' | 'name'>;

/** "TABLE public orders" */
type Key = string;

export interface LeftOutEntries {
  /** Why the entry is not restored; undefined where it is. A phrase: "which the server does not have". */
  readonly why: (entry: Entry) => string | undefined;
  /** The same for "TABLE public orders shop", as `pg_restore --list` writes an entry behind its numbers. */
  readonly whyListed: (listed: string) => string | undefined;
}

/**
 * @param entries all of the dump
 * @param why decides about each of them
 */
export function leaveOut(
  entries: readonly Entry[],
  why: (entry: Entry) => string | undefined,
): LeftOutEntries {
  const reasons = new Map<Key, string | undefined>(entries.map((entry) => [keyOf(entry), why(entry)]));
  return {
    why: (entry) => reasons.get(keyOf(entry)),
    whyListed: (listed) => {
      // Names are unquoted and may have spaces; the owner stands last. The longest known entry is meant.
      for (let end = listed.lastIndexOf(' '); end > 0; end = listed.lastIndexOf(' ', end - 1)) {
        const key = listed.slice(0, end);
        if (reasons.has(key)) return reasons.get(key);
      }
      return undefined;
    },
  };
}

const keyOf = ({type, schema, name}: Entry): Key => `${type} ${schema === '' ? '-' : schema} ${name}`;

/** The entries of rows and of values of sequences. */
export function dataEntries(contents: {
  readonly tables: readonly ObjectName[];
  readonly sequences: readonly ObjectName[];
  readonly refreshedViews: readonly ObjectName[];
}): Entry[] {
  const of = (type: string, objects: readonly ObjectName[]): Entry[] =>
    objects.map(({schema, name}) => ({type, schema, name}));
  return [
    ...of('TABLE DATA', contents.tables),
    ...of('SEQUENCE SET', contents.sequences),
    ...of('MATERIALIZED VIEW DATA', contents.refreshedViews),
  ];
}
