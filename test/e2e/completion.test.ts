/** Completion in the real shells, as a user at the keyboard sees it. */
import {execFileSync} from 'node:child_process';
import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';

let folder: string;
beforeAll(async () => {
  requirePrograms('zsh', 'fish');
  folder = await tempFolder();
  for (const shell of ['bash', 'zsh', 'fish'])
    await writeFile(join(folder, shell), (await runCli(['completion', shell])).stdout);
  await writeFile(join(folder, 'some.dump'), '');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-01T00:00:00Z', {label: 'release'});
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-02T00:00:00Z', {
    databaseName: 'blog',
    label: '$(touch gone)`touch gone`',
  });
  await writeSampleBackup(join(folder, 'other'), '2026-01-03T00:00:00Z');
  await mkdir(join(folder, 'backups/order-cleanup'));
  await writeFile(join(folder, 'backups/order-cleanup/orders-backup-2026-01-04T00-00-00.json.age'), '');
  execFileSync('mkfifo', [join(folder, 'backups/database/pipe.metadata.json')]);
});
afterAll(() => rm(folder, {recursive: true, force: true}));

async function ask(shell: string, script: string, ...args: string[]): Promise<string[]> {
  // Where its stdin is a socket, bash reads the user's ~/.bashrc even with -c.
  const flags = shell === 'bash' ? ['--norc', '-c'] : ['-c'];
  const {status, stdout, stderr} = await runProgram(shell, [...flags, script, ...args], {cwd: folder});
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Completions that bash would offer after the line; it also splits words at ":" and "=". */
const inBash = (line: string): Promise<string[]> =>
  ask(
    'bash',
    'source ./bash; COMP_LINE=$1; COMP_POINT=${#1}; _destino_db; printf "%s\\n" "${COMPREPLY[@]}"',
    'bash',
    line,
  );

/** Completions that fish would offer, without their descriptions. */
const inFish = async (line: string): Promise<string[]> =>
  (await ask('fish', 'source ./fish; complete -C $argv[1]', line)).map(
    (choice) => choice.split('\t')[0] ?? '',
  );

/** Completions that zsh would offer: in its own terminal, where the line is typed and the tab key pressed. */
async function inZsh(line: string): Promise<string[]> {
  const script = `
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell 'autoload -Uz compinit && compinit -u -d ./dump; source ./zsh; LISTMAX=1000; unsetopt menucomplete automenu; compadd () { [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]] && { builtin compadd "$@"; return $? }; typeset -a __hits; builtin compadd -A __hits "$@"; for x in $__hits; do print -r -- "hit:$x"; done; builtin compadd "$@" }; bindkey "^I" complete-word; PS1="<rea""dy>"'
    zpty -r shell out "*<ready>*"
    zpty -n -w shell "$1"$'\\t'
    zpty -n -w shell $'\\C-u''print ov""er:'$'\\n'
    zpty -r shell out "*over:*"
    print -r -- $out`;
  const {stdout} = await runProgram('zsh', ['-f', '-c', script, 'zsh', line], {cwd: folder});
  return [...stdout.matchAll(/hit:([^\r\n]+)/g)].map(([, hit]) => hit ?? '');
}

describe.each([
  ['bash', inBash],
  ['zsh', inZsh],
  ['fish', inFish],
] as const)('%s', (_shell, offers) => {
  it('offers commands', async () => {
    expect(await offers('destino-db re')).toEqual(expect.arrayContaining(['recover', 'report', 'restore']));
    expect(await offers('destino-db ba')).toEqual(['backup']);
  });

  it('offers the commands of a topic', async () => {
    expect((await offers('destino-db orders ')).sort()).toEqual(['clean', 'restore']);
  });

  it('offers the flags of a command', async () => {
    expect(await offers('destino-db backup --for')).toEqual(['--format']);
    expect(await offers('destino-db orders clean --test')).toEqual(['--test-emails-only']);
  });

  it('offers the values of a flag', async () => {
    expect((await offers('destino-db backup --format ')).sort()).toEqual(['custom', 'directory', 'sql']);
  });

  it('offers files for a file argument', async () => {
    expect(await offers('destino-db restore --backup-file some')).toEqual(['some.dump']);
  });

  it('offers ids of backups for an id argument', async () => {
    for (const line of ['restore', 'verify', 'show', 'delete', 'label', 'restore rows', 'copy --backup-file'])
      expect(await offers(`destino-db ${line} shop-`)).toEqual(['shop-2026-01-01T00-00-00']);
    expect(await offers('destino-db show --backups-dir nowhere shop-')).toEqual([]);
    expect(await offers('destino-db show --from other shop-')).toEqual(['shop-2026-01-03T00-00-00']);
    expect(await offers('destino-db orders restore orders-')).toEqual(['orders-backup-2026-01-04T00-00-00']);
  });

  it('offers labels and databases of backups, quoted for the shell', async () => {
    expect(await offers('destino-db list --label rel')).toEqual(['release']);
    expect(await offers('destino-db restore --target-db sh')).toEqual(['shop']);
    await offers('destino-db list --label ');
    expect(await readdir(folder)).not.toContain('gone');
  });
});

it('is included in every shell command that is typed with a colon in bash', async () => {
  expect(await inBash('destino-db orders:cl')).toEqual(['clean']);
  expect(await inBash('destino-db orders:clean --exec')).toEqual(['--execute']);
  expect(await inBash('destino-db backup --format=cu')).toEqual(['custom']);
});
