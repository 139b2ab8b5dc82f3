import {appendFile, readdir, readFile, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {appendRun, longestHistoryLine} from '../../../src/lib/run/append-history.js';
import {readHistory} from '../../../src/lib/run/read-history.js';
import {addFacts, exitCodeOfKilled, noFacts} from '../../../src/lib/run/run-record.js';
import {tempFolder} from '../../support/run-cli.js';
import {sampleRun} from '../../support/sample-run.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await rm(folder, {recursive: true, force: true});
});

const current = (): string => join(folder, 'history.jsonl');

describe('the audit log', () => {
  it('returns the appended runs by start, from a file that only the owner can read', async () => {
    const late = sampleRun({startedAt: '2026-11-22T03:00:00.000Z', warnings: ['slow "disk"\n\\']});
    const early = sampleRun({startedAt: '2026-11-22T02:00:00.000Z'});
    await appendRun(folder, late);
    await appendRun(folder, early);
    expect(await readHistory(folder)).toEqual({runs: [early, late], unreadableLines: 0, foreign: []});
    expect((await stat(current())).mode & 0o777).toBe(0o600);
  });

  it('splits lines at line feeds only, not at separators that JSON allows', async () => {
    const run = sampleRun({warnings: ['a label with \u2028 and \u2029 in it']});
    await appendRun(folder, run);
    expect(await readHistory(folder)).toEqual({runs: [run], unreadableLines: 0, foreign: []});
  });

  it('is empty without a file', async () => {
    expect(await readHistory(join(folder, 'nowhere'))).toEqual({runs: [], unreadableLines: 0, foreign: []});
  });

  it('ends an incomplete line of a killed run, and counts it as unreadable', async () => {
    const before = sampleRun();
    await appendRun(folder, before);
    await appendFile(current(), '{"schemaVersion":1,"runId":"torn');
    expect(await readHistory(folder)).toMatchObject({runs: [before], unreadableLines: 1});
    const after = sampleRun({startedAt: '2026-11-22T04:00:00.000Z'});
    await appendRun(folder, after);
    expect(await readHistory(folder)).toEqual({runs: [before, after], unreadableLines: 1, foreign: []});
  });

  it('believes the end of a run, and not a later line that it was killed', async () => {
    // It was killed after its line was written, and before its start was removed.
    const ended = sampleRun();
    const killed = {...ended, duration: 0, outcome: 'interrupted', exitCode: exitCodeOfKilled} as const;
    const other = sampleRun({outcome: 'interrupted', exitCode: exitCodeOfKilled});
    for (const run of [ended, killed, other]) await appendRun(folder, run);
    expect((await readHistory(folder)).runs).toEqual([ended, other]);
    const failed = await readHistory(folder, ({outcome}) => outcome !== 'ok');
    expect(failed.runs).toEqual([other]);
  });

  it('keeps every run when files are rotated, and reads all files', async () => {
    const runs = Array.from({length: 12}, (_, index) =>
      sampleRun({startedAt: `2026-11-${String(index + 1).padStart(2, '0')}T02:00:00.000Z`}),
    );
    for (const run of runs) await appendRun(folder, run, 1500);
    const names = await readdir(folder);
    expect(names.length).toBeGreaterThan(3);
    expect(
      names.filter((name) => !/^history(-2026-11-\d\dT02-00-00-[0-9a-f]{8})?\.jsonl$/.test(name)),
    ).toEqual([]);
    expect((await readHistory(folder)).runs).toEqual(runs);
  });

  it('masks passwords in all texts and stays one line of valid JSON', async () => {
    const secret = 'hunter2';
    const run = sampleRun({
      errorMessage: `no: postgresql://shop:${secret}@db.example/shop, password=${secret}"quoted"\nsecond line`,
      warnings: [`PGPASSWORD=${secret}\\`],
    });
    await appendRun(folder, run);
    const text = await readFile(current(), 'utf8');
    expect(text).not.toContain(secret);
    expect(text.split('\n')).toHaveLength(2);
    expect((await readHistory(folder)).runs[0]?.errorMessage).toContain('second line');
  });

  it('cuts a record to the limit of a line and counts the omitted entries', async () => {
    const pruned = Array.from({length: 5000}, (_, index) => `shop-2026-01-01T00-00-00-${index}`);
    await appendRun(folder, sampleRun({pruned, errorMessage: 'x'.repeat(200_000)}));
    expect((await readFile(current())).length).toBeLessThanOrEqual(longestHistoryLine);
    const [run] = (await readHistory(folder)).runs;
    expect((run?.pruned.length ?? 0) + (run?.omitted?.['pruned'] ?? 0)).toBe(5000);
    expect(run?.pruned.length).toBeGreaterThan(500);
  });

  it('selects runs while reading', async () => {
    const failed = sampleRun({outcome: 'failed', exitCode: 3});
    for (const run of [sampleRun(), failed, sampleRun()]) await appendRun(folder, run);
    expect((await readHistory(folder, (run) => run.outcome === 'failed')).runs).toEqual([failed]);
  });

  it('fails if the folder cannot be written', async () => {
    await appendFile(join(folder, 'file'), '');
    await expect(appendRun(join(folder, 'file'), sampleRun())).rejects.toMatchObject({
      code: 'FOLDER_NOT_WRITABLE',
    });
  });
});

describe('the facts of a run', () => {
  it('are appended to lists and replace single values', () => {
    const first = addFacts(noFacts, {backupId: 'a', pruned: ['x'], alarms: ['one']});
    expect(addFacts(first, {size: 5, pruned: ['y']})).toEqual({
      ...noFacts,
      backupId: 'a',
      size: 5,
      pruned: ['x', 'y'],
      alarms: ['one'],
    });
  });
});
