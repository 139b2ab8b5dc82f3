/** Databases that restores set aside, read from the audit log without a connection. */
import type {RunRecord, SetAsideEvent} from './run-record.js';

export type KnownSetAside = Omit<SetAsideEvent, 'event'>;

/**
 * Those that no later run dropped or brought back, newest first.
 * @param runs by start, newest last
 */
export function knownSetAside(runs: readonly RunRecord[]): KnownSetAside[] {
  const known = new Map<string, KnownSetAside>();
  const events = runs.flatMap(({setAside}) => setAside);
  const momentOf = ({host, port, name, at}: KnownSetAside): string => JSON.stringify([host, port, name, at]);
  // A run that waited for another one began before it, and may have dropped what that one set aside.
  const gone = new Set(events.filter(({event}) => event === 'gone').map(momentOf));
  for (const {event, ...one} of events) {
    const key = JSON.stringify([one.host, one.port, one.name]);
    if (event === 'gone') known.delete(key);
    else if (!gone.has(momentOf(one))) known.set(key, one);
  }
  return [...known.values()].sort((a, b) => (a.at < b.at ? 1 : -1));
}
