import {appendFile, mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {thisProcess} from '../../../src/lib/base/process-identity.js';
import {leftoversNote, openJournal, readJournals, removeTornJournals} from '../../../src/lib/run/journal.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

let home = '';
let folder = '';
beforeEach(async () => {
  home = await tempFolder();
  folder = join(home, 'backups', '.journal');
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
});

const partial = (name: string) => ({kind: 'partial', path: `/backups/${name}.partial`}) as const;

/** A journal left by a dead process. */
async function deadJournal(...lines: object[]): Promise<string> {
  const path = join(folder, '2026-11-22T03-10-00-000Z-0123ab.jsonl');
  await mkdir(folder, {recursive: true});
  const owner = {...(await thisProcess()), processStart: 'an earlier boot'};
  const head = {run: 'run', command: 'backup', startedAt: '2026-11-22T03:10:00.000Z', owner};
  await writeFile(path, [head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

describe('a journal', () => {
  it('exists before a step begins, lists unfinished steps, and is removed when all are done', async () => {
    const journal = openJournal(testContext(home), 'backup');
    const first = await journal.begin(partial('one'));
    const second = await journal.begin({
      kind: 'staging-database',
      server: {host: 'db', port: 5432},
      database: 's',
      target: 't',
    });
    const [seen] = await readJournals(join(home, 'backups'));
    expect(seen).toMatchObject({command: 'backup', liveness: 'alive', unfinished: [{kind: 'partial'}, {kind: 'staging-database', target: 't'}]}); // prettier-ignore
    await first();
    await first();
    expect((await readJournals(join(home, 'backups')))[0]?.unfinished).toEqual([
      expect.objectContaining({database: 's'}),
    ]);
    await second();
    await journal.close();
    expect(await readdir(folder)).toEqual([]);
  });

  it('stays while a step is unfinished', async () => {
    const journal = openJournal(testContext(home), 'backup');
    await journal.begin(partial('one'));
    await journal.close();
    expect(await readdir(folder)).toHaveLength(1);
  });

  it('with an incomplete first line is removed once no run can be writing it, and no other journal is', async () => {
    const whole = await deadJournal({begin: 1, entry: partial('one')});
    const now = new Date();
    const written = new Date(now.getTime() - 61_000);
    const torn = (random: string) => join(folder, `2026-11-22T03-10-00-000Z-${random}.jsonl`);
    for (const [random, text] of [
      ['aaaaaa', ''],
      ['bbbbbb', '{"run":"r'],
      ['cccccc', ''],
    ] as const)
      await writeFile(torn(random), text);
    for (const path of [whole, torn('aaaaaa'), torn('bbbbbb')]) await utimes(path, written, written);
    await removeTornJournals(join(home, 'backups'), now);
    expect((await readdir(folder)).map((name) => join(folder, name))).toEqual([whole, torn('cccccc')]);
  });

  it('of another user is ignored', async () => {
    const path = await deadJournal({begin: 1, entry: partial('precious')});
    expect(await readJournals(join(home, 'backups'))).toHaveLength(1);
    await rename(path, join(home, 'journal'));
    await symlink(join(home, 'journal'), path);
    const foreign: string[] = [];
    expect(await readJournals(join(home, 'backups'), (found) => foreign.push(...found))).toEqual([]);
    expect(foreign).toEqual([`${path} is a symbolic link`]);
  });

  it('creates no file for a run without steps', async () => {
    await openJournal(testContext(home), 'backup').close();
    await expect(readdir(folder)).rejects.toThrow('ENOENT');
  });

  it('keeps the order of concurrent entries', async () => {
    const journal = openJournal(testContext(home), 'backup');
    await Promise.all(['a', 'b', 'c', 'd'].map((name) => journal.begin(partial(name))));
    const [seen] = await readJournals(join(home, 'backups'));
    expect(seen?.unfinished).toEqual(['a', 'b', 'c', 'd'].map(partial));
  });

  it('cut at any byte yields the entries with complete lines, and never fails', async () => {
    const path = await deadJournal(
      {begin: 1, entry: partial('one')},
      {begin: 2, entry: partial('two')},
      {done: 1},
    );
    const text = await readFile(path, 'utf8');
    const counts: number[] = [];
    for (let length = 0; length <= text.length; length += 1) {
      await writeFile(path, text.slice(0, length));
      counts.push((await readJournals(join(home, 'backups')))[0]?.unfinished.length ?? -1);
    }
    // No head yet, head, one entry, two entries, the first of them done.
    expect(counts.filter((count, index) => count !== counts[index - 1])).toEqual([-1, 0, 1, 2, 1]);
  });

  it('loses no entry after a line that a full disk cut short', async () => {
    const journal = openJournal(testContext(home), 'backup');
    const first = await journal.begin(partial('one'));
    const [name = ''] = await readdir(folder);
    await appendFile(join(folder, name), '\n{"begin":2,"entry":{"kind":"par');
    await journal.begin(partial('three'));
    await first();
    const [seen] = await readJournals(join(home, 'backups'));
    expect(seen?.unfinished).toEqual([partial('three')]);
  });

  it('skips unknown lines', async () => {
    const path = await deadJournal({begin: 1, entry: partial('one')});
    await appendFile(path, '{"begin":2,"entry":{"kind":"of a later version"}}\nnonsense\n{"done":99}\n');
    expect((await readJournals(join(home, 'backups')))[0]?.unfinished).toEqual([partial('one')]);
  });
});

describe('leftoversNote', () => {
  it('is empty without journals, for running runs, and for runs that left nothing', async () => {
    const context = testContext(home);
    expect(await leftoversNote(context)).toBeUndefined();
    const journal = openJournal(context, 'backup');
    await journal.begin(partial('one'));
    expect(await leftoversNote(context)).toBeUndefined();
    await rm(folder, {recursive: true});
    await deadJournal({begin: 1, entry: partial('one')}, {done: 1});
    expect(await leftoversNote(context)).toBeUndefined();
  });

  it('names the command to run after a crash', async () => {
    await deadJournal({begin: 1, entry: partial('one')});
    expect(await leftoversNote(testContext(home))).toBe(
      'Interrupted runs (backup) left unfinished work. See it with: destino-db recover --dry-run',
    );
  });
});
