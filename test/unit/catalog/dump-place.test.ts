import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {reserveDumpPlace} from '../../../src/lib/catalog/dump-place.js';
import {tempFolder} from '../../support/run-cli.js';

let home: string;
beforeEach(async () => {
  home = await tempFolder();
});
afterEach(() => rm(home, {recursive: true}));

it('gives backups of one name and second different ids, whatever their formats, however many begin at once', async () => {
  // Databases of several servers may have one name, and their runs do not wait for each other.
  const at = new Date('2026-11-22T03:10:00.500Z');
  const formats = ['custom', 'sql', 'directory'] as const;
  const folder = join(home, 'database');
  const places = await Promise.all(
    [...formats, ...formats].map((format) => reserveDumpPlace(folder, 'shop', at, format, false)),
  );
  const ids = places.map(({id}) => id);
  expect(new Set(ids).size).toBe(6);
  for (const id of ids) expect(id).toMatch(/^shop-2026-11-22T03-10-00(?:-\d+)?$/);
  expect((await readdir(folder)).sort()).toEqual(places.map(({finalName}) => `${finalName}.partial`).sort());
});
