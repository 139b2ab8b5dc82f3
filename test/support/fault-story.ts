/** Runs the compiled program into a fault and holds every promise against what is left, then again after `recover`. */
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {afterAll, expect, it} from 'vitest';
import type {FaultPoint} from '../../src/lib/fault-points.js';
import {checkPromises, type Traces, type Watched} from './check-promises.js';
import {type FaultRow, isLong, tableFolder} from './fault-table.js';
import {runCli} from './run-cli.js';

export interface Situation {
  /** Working directory; backups are in `backups` in it. */
  readonly home: string;
  readonly url: string;
  readonly args: readonly string[];
  readonly watched: Watched;
  /** Whether all that the command stands for has happened; a run that reports success must have done it. */
  readonly isDone: () => Promise<boolean>;
}

export interface Story {
  readonly command: string;
  readonly points: readonly FaultPoint[];
  /** What the short form does beside one SIGKILL at every point. */
  readonly also: readonly (readonly [FaultPoint, string])[];
  /** @param round counts the repetitions from 0, so that each can differ */
  readonly prepare: (round: number) => Promise<Situation>;
}

const rounds = isLong ? 7 : 1;
const everyFault = ['SIGKILL', 'SIGTERM', 'SIGINT', 'error:DISK_FULL'];

/** Makes a test of every point and fault; what held is noted under `name` for the table. */
export function tellStories(name: string, stories: readonly Story[]): void {
  const held: Omit<FaultRow, 'isWhole'>[] = [];
  let expected = 0;
  for (const story of stories) {
    const faults: (readonly [FaultPoint, string])[] = isLong
      ? story.points.flatMap((point) => everyFault.map((fault) => [point, fault] as const))
      : [...story.points.map((point) => [point, 'SIGKILL'] as const), ...story.also];
    expected += faults.length;
    it.each(faults)(
      `${story.command} keeps its promises at %s with %s`,
      async (point, fault) => {
        for (let round = 0; round < rounds; round += 1) await suffer(story, point, fault, round);
        held.push({command: story.command, point, fault, runs: rounds});
      },
      600_000,
    );
  }
  afterAll(async () => {
    const isWhole = held.length === expected;
    await mkdir(tableFolder, {recursive: true});
    await writeFile(`${tableFolder}${name}.json`, JSON.stringify(held.map((row) => ({...row, isWhole}))));
  });
}

async function suffer(story: Story, point: FaultPoint, fault: string, round: number): Promise<void> {
  const {home, url, args, watched, isDone} = await story.prepare(round);
  const env = {DIRECT_URL: url};
  const run = await runCli(args, {cwd: home, env: {...env, DESTINO_DB_FAULT: `${point}=${fault}`}});
  const said = `${run.stdout}\n${run.stderr}`;
  if (fault === 'SIGKILL') expect(run.signal, said).toBe('SIGKILL');
  else if (!fault.startsWith('SIG')) expect(run.signal, said).toBeNull();
  else {
    expect(said).toContain('Stopping: ');
    expect([0, fault === 'SIGINT' ? 130 : 143], said).toContain(run.status);
  }
  const traces: Traces = fault === 'SIGKILL' || story.command === 'recover' ? 'of a kill' : 'none';
  expect(await checkPromises(watched, traces), `after the fault: ${said}`).toEqual([]);
  if (run.status === 0) expect(await isDone(), 'success was reported').toBe(true);
  const recover = await runCli(['recover', '--yes', '--json'], {cwd: home, env});
  expect(recover.status, recover.stdout + recover.stderr).toBe(0);
  expect(await checkPromises(watched, 'none'), `after recover: ${recover.stdout}`).toEqual([]);
  await rm(home, {recursive: true, force: true});
}
