/** Entries of a dump that are not restored, with the reason. */
import {entryName} from '../base/qualified-name.js';
import type {ObjectName} from '../fingerprint/table-contents.js';
import type {DumpSection} from './plain-dump-filter.js';

/** An entry; owner and statements may be missing. */
export interface Entry extends Pick<DumpSection, 'type' | 'schema' | 'name'> {
  readonly owner?: string;
  readonly statements?: readonly string[];
}

/** "TABLE public orders" */
type Key = string;

export interface LeftOutEntries {
  /** Why the entry is not restored; undefined if it is. A phrase: "which the server does not have". */
  readonly why: (entry: Entry) => string | undefined;
  /** The same for "TABLE public orders shop", as `pg_restore --list` prints it after the numbers. */
  readonly whyListed: (listed: string) => string | undefined;
  /** Number of entries per reason. */
  readonly counts: ReadonlyMap<string, number>;
  /** The left-out objects, "extension pg_cron", "policy public.orders own rows"; without their privileges, comments and rows. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Number of restored entries. */
  readonly restored: number;
}

/**
 * @param entries all entries of the dump
 * @param why decides about each of them
 * @param whyOther decides about entries that are not in the dump
 * @param isByName whether `whyOther`, which has no owner and no statements, returns the same as `why` for entries in the dump; if nothing is left out, the entries need not be stored then
 */
export function leaveOut(
  entries: readonly Entry[],
  why: (entry: Entry) => string | undefined,
  whyOther: (entry: Entry) => string | undefined = () => undefined,
  isByName = false,
): LeftOutEntries {
  const reasons = new Map<Key, string | undefined>();
  for (const entry of entries) reasons.set(keyOf(entry), why(entry));
  const counts = new Map<string, number>();
  for (const reason of reasons.values())
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const names = new Map<string, string[]>();
  for (const entry of entries) {
    const reason = unnamedTypes.has(entry.type) ? undefined : reasons.get(keyOf(entry));
    if (reason === undefined) continue;
    const ones = names.get(reason) ?? [];
    ones.push(nameOf(entry));
    names.set(reason, ones);
  }
  const restored = reasons.size - [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (counts.size === 0 && isByName) return everything(restored, whyOther);
  return {
    counts,
    names,
    restored,
    why: (entry) => (reasons.has(keyOf(entry)) ? reasons.get(keyOf(entry)) : whyOther(entry)),
    whyListed: (listed) => {
      // Names are unquoted and may contain spaces; the owner is last. The longest known entry wins.
      for (let end = listed.length; end > 0; end = listed.lastIndexOf(' ', end - 1)) {
        const key = listed.slice(0, end);
        if (reasons.has(key)) return reasons.get(key);
      }
      return undefined;
    },
  };
}

/** A separate function, because a closure keeps all variables of its scope in memory. */
function everything(restored: number, why: LeftOutEntries['why']): LeftOutEntries {
  return {counts: new Map(), names: new Map(), restored, why, whyListed: () => undefined};
}

const unnamedTypes = new Set([
  'ACL',
  'COMMENT',
  'DEFAULT ACL',
  'MATERIALIZED VIEW DATA',
  'SECURITY LABEL',
  'SEQUENCE SET',
  'TABLE DATA',
]);

function nameOf(entry: Entry): string {
  return `${entry.type.toLowerCase()} ${entryName(entry)}`;
}

/** Default privileges are distinguished by their owner only. */
const keyOf = ({type, schema, name, owner = ''}: Entry): Key =>
  `${type} ${schema === '' ? '-' : schema} ${name}${type === 'DEFAULT ACL' ? ` ${owner}` : ''}`;

/** The entries of rows and sequence values. */
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
