import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {readEnvironment} from '../../../src/lib/settings/environment.js';
import {tempFolder} from '../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

describe('readEnvironment', () => {
  it('prefers the process over .env.local over .env', async () => {
    await writeFile(join(folder, '.env'), 'A=env\nB=env\nC=env\nD=env\n');
    await writeFile(join(folder, '.env.local'), 'A=local\nB=local\nD=\n');
    const environment = await readEnvironment({A: 'process', B: ''}, folder);
    expect(
      ['A', 'B', 'C', 'D', 'E'].map((name) => [environment.get(name), environment.originOf(name)]),
    ).toEqual([
      ['process', 'environment'],
      ['local', '.env.local'], // an empty variable counts as unset
      ['env', '.env'],
      ['env', '.env'],
      [undefined, undefined],
    ]);
  });

  it("reads quotes, comments and export lines by Node's rules and runs nothing", async () => {
    await writeFile(
      join(folder, '.env'),
      `# comment\nexport A="x#y"\nB='$HOME' # tail\nC=$(touch ${folder}/ran)\nD="a\\nb"\n`,
    );
    const environment = await readEnvironment({}, folder);
    expect(['A', 'B', 'C', 'D'].map((name) => environment.get(name))).toEqual([
      'x#y',
      '$HOME',
      `$(touch ${folder}/ran)`,
      'a\nb',
    ]);
  });

  it('reads a file with a byte order mark', async () => {
    await writeFile(join(folder, '.env'), '\ufeffDATABASE_URL=postgres://shop\n');
    expect((await readEnvironment({}, folder)).get('DATABASE_URL')).toBe('postgres://shop');
  });

  it('does not change the process environment', async () => {
    await writeFile(join(folder, '.env'), 'DESTINO_DB_NEVER_SET=1\n');
    await readEnvironment({}, folder);
    expect(process.env['DESTINO_DB_NEVER_SET']).toBeUndefined();
  });

  it('reads only the file of --env-file', async () => {
    await writeFile(join(folder, '.env'), 'A=env\n');
    await writeFile(join(folder, 'other'), 'B=other\n');
    const environment = await readEnvironment({}, folder, 'other');
    expect([environment.get('A'), environment.get('B'), environment.originOf('B')]).toEqual([
      undefined,
      'other',
      'other',
    ]);
  });

  it('works without .env files, but fails if the named file is missing or unreadable', async () => {
    expect((await readEnvironment({}, folder)).sources).toHaveLength(1);
    const missing = expect.objectContaining({code: 'CONFIG_INVALID', exitCode: 2}) as Error;
    await expect(readEnvironment({}, folder, 'gone')).rejects.toThrow(missing);
    await expect(readEnvironment({}, folder, 'gone')).rejects.toThrow(`${folder}/gone does not exist.`);
    await mkdir(join(folder, '.env.local'));
    await expect(readEnvironment({}, folder)).rejects.toThrow(missing);
  });
});
