import {expect, it} from 'vitest';
import type {Verification} from '../../../src/lib/catalog/backup-record.js';
import {mergeCopies} from '../../../src/lib/storage/all-locations.js';
import {writeReport} from '../../../src/lib/services/report/write-report.js';
import {sampleRecord} from '../../support/sample-backups.js';
import {catalogueOf} from '../../support/simulated-status.js';
import {testContext} from '../../support/test-context.js';

const at = '2026-11-22T03:00:00.000Z';
const proof = (level: Verification['level'], ok: boolean): Verification => ({
  level,
  at,
  ok,
  duration: 1,
  findings: ok ? [] : ['damaged'],
});
const copy = (place: string, ...proofs: Verification[]) => ({
  place,
  catalogue: catalogueOf([sampleRecord(at, {proofs})]),
});

it('lists the copies of a backup once, by the best proven one', () => {
  const merged = mergeCopies([
    copy('here'),
    copy('there', proof('restore', true)),
    copy('far', proof('checksum', true)),
  ]);
  expect(merged).toMatchObject([{places: ['here', 'there', 'far'], record: {proofs: [{level: 'restore'}]}}]);
});

it('does not count damaged copies as locations, and lists a damaged copy only if there is no other', () => {
  const bad = proof('restore', false);
  expect(mergeCopies([copy('here', bad), copy('there')])).toMatchObject([
    {places: ['there'], record: {proofs: []}},
  ]);
  expect(mergeCopies([copy('here', bad)])).toMatchObject([{places: [], record: {proofs: [bad]}}]);
});

it('distinguishes backups with the same id but different content or servers', () => {
  const {source} = sampleRecord(at);
  const others = [
    sampleRecord(at, {sha256: '0'.repeat(64)}),
    sampleRecord(at, {source: {...source, systemIdentifier: '73'}}),
  ];
  const readings = others.map((record, index) => ({place: String(index), catalogue: catalogueOf([record])}));
  expect(mergeCopies([copy('here'), ...readings])).toHaveLength(3);
});

it('lists the later of several backups of one moment first', () => {
  const ids = ['shop-2', 'shop-10', 'shop'];
  const catalogue = catalogueOf(ids.map((id) => sampleRecord(at, {id})));
  expect(mergeCopies([{place: 'here', catalogue}]).map(({id}) => id)).toEqual(['shop-10', 'shop-2', 'shop']);
});

it('does not report a missing folder', async () => {
  const context = testContext('/nowhere');
  await expect(writeReport(context, {from: 'gone'})).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
});
