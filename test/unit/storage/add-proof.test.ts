/** The result of a check is added to the stored metadata; unusable metadata is a separate error. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {addProof} from '../../../src/lib/storage/add-proof.js';
import {localPlace} from '../../../src/lib/storage/local-place.js';
import type {Verification} from '../../../src/lib/catalog/backup-record.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

let home = '';
let path = '';
beforeEach(async () => {
  home = await tempFolder();
  path = join(home, 'x.metadata.json');
});
afterEach(() => rm(home, {recursive: true}));

const proof: Verification = {
  level: 'archive',
  at: '2026-01-01T00:00:00Z',
  ok: true,
  duration: 1,
  findings: [],
};

it('preserves everything else in the file, in its order', async () => {
  await writeFile(path, '{"later":{"key":1},"proofs":[{"of":"a newer version"}],"label":null}');
  await addProof(testContext(home), localPlace(home), 'x.metadata.json', {proofs: [proof]});
  const text = await readFile(path, 'utf8');
  const whole = {later: {key: 1}, proofs: [{of: 'a newer version'}, proof], label: null};
  expect(text).toBe(`${JSON.stringify(whole, null, 2)}\n`);
});

it.each(['{"proofs":', '[]', '{"label":null}', '{"proofs":"none"}'])('refuses %s', async (text) => {
  await writeFile(path, text);
  await expect(
    addProof(testContext(home), localPlace(home), 'x.metadata.json', {proofs: [proof]}),
  ).rejects.toMatchObject({
    code: 'METADATA_INVALID',
  });
  expect(await readFile(path, 'utf8')).toBe(text);
});

it('never replaces an outcome by a check that was not possible, and keeps the newest of each level', async () => {
  await writeFile(path, JSON.stringify({proofs: [proof]}));
  const untested = (at: string, level: 'archive' | 'restore') => ({
    level,
    at,
    outcome: 'not-possible' as const,
    duration: 1,
    code: 'DISK_FULL',
    findings: ['The disk is full.'],
    hint: null,
  });
  const first = untested('2026-01-02T00:00:00Z', 'restore');
  const other = untested('2026-01-03T00:00:00Z', 'archive');
  const newer = untested('2026-01-04T00:00:00Z', 'restore');
  for (const notPossible of [first, other, newer])
    await addProof(testContext(home), localPlace(home), 'x.metadata.json', {proofs: [], notPossible});
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({proofs: [proof], notPossible: [other, newer]});
});

it('does not overwrite the results of another run if the store has no locks', async () => {
  await writeFile(path, '{"proofs":[]}');
  const {withLock: _, ...place} = localPlace(home);
  const readText = async (key: string): Promise<string> => {
    const text = await place.readText(key);
    await place.writeText(key, '{"proofs":["theirs"]}', (await place.status(key))?.tag ?? null);
    return text;
  };
  const adding = addProof(testContext(home), {...place, readText}, 'x.metadata.json', {proofs: [proof]});
  await expect(adding).rejects.toMatchObject({code: 'STORAGE_CONFLICT'});
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({proofs: ['theirs']});
});
