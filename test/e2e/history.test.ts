import {spawn} from 'node:child_process';
import {appendFile, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {readHistory} from '../../src/lib/run/read-history.js';
import {tempFolder} from '../support/run-cli.js';
import {sampleRun} from '../support/sample-run.js';

const compiled = new URL('../../dist/lib/run/append-history.js', import.meta.url).href;

/** Appends `count` runs, one after the other, in a separate process; says "ready" first and waits for its stdin to end. */
const appender = `
  import {appendRun} from ${JSON.stringify(compiled)};
  import {randomUUID} from 'node:crypto';
  const [folder, count, rotateAt, template] = process.argv.slice(1);
  process.stdout.write('ready');
  for await (const _ of process.stdin);
  for (let n = 0; n < Number(count); n += 1) {
    // Lines of very different length, up to many pages, so that a torn write would show.
    const warnings = Array.from({length: n % 7 === 0 ? 30 : 0}, () => 'w'.repeat(1500));
    await appendRun(folder, {...JSON.parse(template), runId: randomUUID(), user: \`\${process.pid} \${n}\`, warnings}, Number(rotateAt));
  }
`;

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await rm(folder, {recursive: true, force: true});
});

/** Starts the processes, releases them all at once, and returns their pids after they have ended. */
async function appendFromProcesses(processes: number, count: number, rotateAt: number): Promise<number[]> {
  const children = Array.from({length: processes}, () =>
    spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        appender,
        folder,
        String(count),
        String(rotateAt),
        JSON.stringify(sampleRun()),
      ],
      {stdio: ['pipe', 'pipe', 'inherit']},
    ),
  );
  await Promise.all(children.map((child) => new Promise((resolve) => child.stdout.once('data', resolve))));
  const ended = children.map(
    (child) =>
      new Promise<void>((resolve, reject) => {
        child.once('close', (code) =>
          code === 0 ? resolve() : reject(new Error(`exit ${code ?? 'by signal'}`)),
        );
      }),
  );
  for (const child of children) child.stdin.end();
  await Promise.all(ended);
  return children.map((child) => child.pid ?? 0);
}

describe('the audit log under several processes at once', () => {
  it.each([
    ['in one file that began with a torn line', 1 << 30],
    ['while files are put aside all the time', 20_000],
  ])('loses and corrupts no line %s', async (_, rotateAt) => {
    await appendFile(join(folder, 'history.jsonl'), '{"torn":');
    const [processes, count] = [6, 40];
    const pids = await appendFromProcesses(processes, count, rotateAt);
    const {runs, unreadableLines} = await readHistory(folder);
    expect(unreadableLines).toBe(1);
    const expected = pids.flatMap((pid) => Array.from({length: count}, (__, n) => `${pid} ${n}`));
    expect(runs.map((run) => run.user).sort()).toEqual(expected.sort());
    expect((await readdir(folder)).length).toBeGreaterThan(rotateAt > 1_000_000 ? 0 : 10);
  });
});
