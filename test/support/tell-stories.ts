/** Creates the tests of scenarios and faults, and records the passed ones for the table. */
import {afterAll, expect, it} from 'vitest';
import {errorCodeTable} from '../../src/lib/base/errors.js';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import {type Fault, type FaultHost, type Story, suffer} from './fault-story.js';
import {type FaultRow, isLong, writeHeld} from './fault-table.js';

/** A fault inside the program, from src/lib/run/fault-points.ts. */
export function atPoint(point: FaultPoint, name: string): Fault<FaultHost> {
  const options = {env: {DESTINO_DB_FAULT: `${point}=${name}`}};
  const ending =
    name === 'SIGKILL'
      ? 'killed'
      : name === 'SIGINT' || name === 'SIGTERM'
        ? name
        : errorCodeTable().some(({code}) => name === `error:${code}`)
          ? 'error or success'
          : undefined;
  if (!ending) throw new Error(`no fault is called ${name}`);
  // A half removed backup cannot be restored; it waits for `recover`.
  const leaves = {inFolder: point.startsWith('prune.'), onServer: false};
  return {at: point, name, ending, begin: () => ({options, leaves})};
}

/** The faults of the long form at every point; the short form kills there, and adds the faults that a scenario names. */
const everyFault = ['SIGKILL', 'SIGTERM', 'SIGINT', 'error:DISK_FULL'];

export function faultsAt(
  points: readonly FaultPoint[],
  alsoInShort: readonly (readonly [FaultPoint, string])[],
): Fault<FaultHost>[] {
  if (isLong) return points.flatMap((point) => everyFault.map((name) => atPoint(point, name)));
  return [
    ...points.map((point) => atPoint(point, 'SIGKILL')),
    ...alsoInShort.map(([point, name]) => atPoint(point, name)),
  ];
}

export interface Chapter<Host extends FaultHost> {
  readonly story: Story;
  readonly faults: readonly Fault<Host>[];
  readonly rounds: number;
}

/** Creates a test of every scenario and fault; passed ones are recorded under `name` for the table. */
export function tellStories<Host extends FaultHost>(
  name: string,
  host: () => Host,
  chapters: readonly Chapter<Host>[],
): void {
  const held = new Map<string, FaultRow[]>();
  const expected: string[] = [];
  for (const {story, faults: all, rounds} of chapters) {
    // Each is a run of the program and one of recover: the short form uses every 48th one.
    const faults = isLong ? all : all.filter((_, index) => index % 48 === 0);
    const nameOf = (at: string, fault: string): string => `${story.command} | ${at} | ${fault}`;
    expected.push(...faults.map((fault) => nameOf(fault.at, fault.name)));
    it.each(faults.map((fault) => [fault.at, fault.name, fault] as const))(
      `${story.command} keeps its promises at %s with %s`,
      async (at, faultName, fault) => {
        const runs = faultName === 'SIGKILL' ? rounds : Math.min(rounds, 1);
        for (let round = 0; round < runs; round += 1)
          expect(await suffer(host(), story, fault, round)).not.toBe('not struck');
        held.set(nameOf(at, faultName), [{command: story.command, point: at, fault: faultName, runs}]);
      },
      900_000,
    );
  }
  afterAll(() => writeHeld(name, expected, held));
}
