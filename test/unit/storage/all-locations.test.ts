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

it('takes the copies of a backup for one, which stands for what is proven best of them', () => {
  const merged = mergeCopies([
    copy('here'),
    copy('there', proof('restore', true)),
    copy('far', proof('checksum', true)),
  ]);
  expect(merged).toMatchObject([{places: ['here', 'there', 'far'], record: {proofs: [{level: 'restore'}]}}]);
});

it('does not count damaged copies as places, and takes a damaged one for the backup only where no other is', () => {
  const bad = proof('restore', false);
  expect(mergeCopies([copy('here', bad), copy('there')])).toMatchObject([
    {places: ['there'], record: {proofs: []}},
  ]);
  expect(mergeCopies([copy('here', bad)])).toMatchObject([{places: [], record: {proofs: [bad]}}]);
});

it('keeps backups of other content or of other servers apart, though they have one id', () => {
  const {source} = sampleRecord(at);
  const others = [
    sampleRecord(at, {sha256: '0'.repeat(64)}),
    sampleRecord(at, {source: {...source, systemIdentifier: '73'}}),
  ];
  const readings = others.map((record, index) => ({place: String(index), catalogue: catalogueOf([record])}));
  expect(mergeCopies([copy('here'), ...readings])).toHaveLength(3);
});

it('reports on no folder that is not there', async () => {
  const context = testContext('/nowhere');
  await expect(writeReport(context, {from: 'gone'})).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
});
