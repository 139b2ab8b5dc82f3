import {mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {createRowBuckets} from '../../../src/lib/fingerprint/row-buckets.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'row-buckets-'));
});
afterEach(() => rm(folder, {recursive: true}));

it('finds rows of one side only and changed rows, short and long', async () => {
  const buckets = createRowBuckets(folder, 1);
  const long = 'x'.repeat(3 << 20);
  const backup = {1: 'a', 2: 'b', 3: 'c', [long]: 'd', [`${long}1`]: 'e', 6: 'f'};
  const live = {1: 'a', 2: 'other', [long]: 'd', [`${long}2`]: 'e', 6: 'f', 7: 'g'};
  for (const [key, row] of Object.entries(backup)) {
    buckets.add('backup', Buffer.from(key), Buffer.from(row));
    await buckets.flush();
  }
  for (const [key, row] of Object.entries(live)) buckets.add('live', Buffer.from(key), Buffer.from(row));
  const told: string[] = [];
  const found = await buckets.compare((kind, key) =>
    told.push(`${kind} ${key.length} ${key.subarray(-1).toString()}`),
  );
  expect(found).toEqual({onlyLive: 2, onlyBackup: 2, changed: 1});
  expect(told.sort()).toEqual([
    'changed 1 2',
    'onlyBackup 1 3',
    `onlyBackup ${long.length + 1} 1`,
    'onlyLive 1 7',
    `onlyLive ${long.length + 1} 2`,
  ]);
});

it('fails if rows cannot be read back', async () => {
  const buckets = createRowBuckets(folder, 1);
  buckets.add('live', Buffer.from('1'), Buffer.from('a'));
  await buckets.flushAll();
  await rm(join(folder, 'live-0'));
  await symlink('live-0', join(folder, 'live-0'));
  await expect(buckets.compare()).rejects.toThrow('ELOOP');
});
