/** The results of commands that ran with competing locks, for people and for docs/faults.md. */
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import type {Felt} from './lock-pressure.js';

export interface LockMix {
  readonly seed: number;
  readonly minutes: number;
  readonly lockWaitMs: number;
  /** Number of each outcome, by command. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly hangs: number;
  /** The longest run of a command, ms. */
  readonly longestMs: number;
  readonly felt: Felt;
}

const folder = fileURLToPath(new URL('../../test-results/locks/', import.meta.url));
const page = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));
const title = '## Beside locks';

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
const ms = (value: number): string => `${Math.round(value)} ms`;

export function describeMix({seed, minutes, lockWaitMs, outcomes, hangs, longestMs, felt}: LockMix): string {
  const runs = Object.values(outcomes).reduce((total, counts) => total + sum(counts), 0);
  return `${title}

\`npm run test:locks\` runs commands in a random order (seed ${seed}, ${minutes} minutes) with \`--lock-wait ${lockWaitMs / 1000}s\`. Meanwhile two sessions lock and alter
their tables without a limit of their own, and an application of four sessions reads and writes.

| | |
|---|---|
| commands that ran | ${runs} |
| hangs | ${hangs} |
| longest command | ${ms(longestMs)} |
| statements of the application | ${felt.statements} |
| longest wait of the application for a session of ours that was itself waiting | ${ms(felt.behindWaitingMs)} |
| longest statement of the application, whatever blocked it | ${ms(felt.longestMs)} |
| longest time to connect | ${ms(felt.connectMs)} |
| actions of the other sessions | ${list(felt.disturbances)} |

| command | ended | longest wait of the application because of it |
|---|---|---|
${Object.entries(outcomes)
  .map(([name, counts]) => `| \`${name}\` | ${list(counts)} | ${ms(felt.behindUsMs[name] ?? 0)} |`)
  .join('\n')}
`;
}

/** The part of the page that the last long run wrote; empty before the first one. */
export async function readMixPart(): Promise<string> {
  const text = await readFile(page, 'utf8').catch(() => '');
  const start = text.indexOf(title);
  return start === -1 ? '' : text.slice(start);
}

/** Appends the result to docs/faults.md, and to other results. */
export async function writeMix(mix: LockMix): Promise<void> {
  await mkdir(folder, {recursive: true});
  await writeFile(`${folder}mix.json`, JSON.stringify(mix));
  const text = await readFile(page, 'utf8');
  const before = text.slice(0, text.length - (await readMixPart()).length).trimEnd();
  await writeFile(page, `${before}\n\n${describeMix(mix)}`);
}
