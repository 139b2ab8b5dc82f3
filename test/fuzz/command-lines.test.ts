/** Random command lines: each one exits with a documented status, and prints one document with --json. */
import {readFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {type Command, Parser} from '@oclif/core';
import fc from 'fast-check';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {asAppError} from '../../src/lib/cli/show/show-error.js';
import {anyText, runs} from '../support/fuzz.js';
import {runCli, tempFolder} from '../support/run-cli.js';

interface Manifest {
  readonly commands: Readonly<
    Record<string, {readonly flags: Readonly<Record<string, {readonly char?: string}>>}>
  >;
}
const manifest = JSON.parse(
  readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'),
) as Manifest;
const ids = Object.keys(manifest.commands);

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const value = fc.oneof(
  anyText.filter((text) => !text.includes('\0') && !text.includes('\ud800')),
  fc.constantFrom(
    '1',
    '-1',
    '0',
    '1e999',
    '9999999999999999999999',
    'NaN',
    '26h',
    '2026-11-22',
    'latest',
    'custom',
    'cron',
    '/dev/null',
    '.',
    '--',
    '-',
    '--json=1',
    's3://x',
  ),
);
/** Flags of the command, of others, and misspelt ones; with or without values. */
const lines = fc.constantFrom(...ids).chain((id) => {
  // Node 20 reads --env-file itself before the program starts, in any position, and exits with 9 if the file is missing.
  const own = Object.entries(manifest.commands[id]?.flags ?? {})
    .filter(([name]) => name !== 'env-file')
    .flatMap(([name, {char}]) => [`--${name}`, ...(char === undefined ? [] : [`-${char}`])]);
  const flag = fc.constantFrom(...own, '--frobnicate', '--no-such', '-x', '--help-me');
  const word = fc.oneof(
    flag,
    value,
    fc.tuple(flag, value).map(([name, text]) => `${name}=${text}`),
    fc.tuple(flag, value).map(([name, text]) => [name, text] as const),
  );
  return fc.tuple(
    fc.constant(id),
    fc.array(word, {maxLength: 7}).map((words) => words.flat()),
  );
});

it('are accepted by every command, or refused as usage errors', async () => {
  const commands = new Map<string, typeof Command>();
  for (const id of ids) {
    const module = (await import(
      new URL(`../../dist/commands/${id.replace(':', '/')}.js`, import.meta.url).href
    )) as {
      default: typeof Command;
    };
    commands.set(id, module.default);
  }
  await fc.assert(
    fc.asyncProperty(lines, async ([id, words]) => {
      const command = commands.get(id);
      if (!command) throw new Error(`${id} is no command`);
      const {flags, baseFlags, args, strict} = command;
      try {
        await Parser.parse(words, {flags: {...baseFlags, ...flags}, args, strict});
      } catch (error) {
        expect(asAppError(error), String(error)).toMatchObject({code: 'USAGE', exitCode: 2});
      }
    }),
    runs(1000),
  );
});

it('exit with a documented status, one document with --json, and no stack', async () => {
  await fc.assert(
    fc.asyncProperty(lines, async ([id, words]) => {
      const result = await runCli([id, ...words.filter((word) => word !== '--'), '--json'], {cwd: folder});
      expect([0, 1, 2, 3, 4, 5]).toContain(result.status);
      // Help is text for people, and --nagios is a line for monitors, regardless of other flags.
      if (words.some((word) => ['--help', '-h', '--nagios'].includes(word))) return;
      const document = result.json() as {error?: {code: string; exitCode: number}};
      if (document.error) {
        expect(document.error.code).not.toBe('UNEXPECTED');
        expect(document.error.exitCode).toBe(result.status);
      }
      expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
    }),
    runs(25),
  );
});
