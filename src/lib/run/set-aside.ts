/** Databases that restores set aside, read from the audit log without a connection. */
import type {RunRecord, SetAsideEvent} from './run-record.js';

export type KnownSetAside = Omit<SetAsideEvent, 'event'>;

/**
 * Those that no later run dropped or brought back, newest first.
 * @param runs by start, newest last
 */
export function knownSetAside(runs: readonly RunRecord[]): KnownSetAside[] {
  const known = new Map<string, KnownSetAside>();
  for (const {event, ...one} of runs.flatMap(({setAside}) => setAside)) {
    const key = JSON.stringify([one.host, one.port, one.name]);
    if (event === 'made') known.set(key, one);
    else known.delete(key);
  }
  return [...known.values()].sort((a, b) => (a.at < b.at ? 1 : -1));
}
