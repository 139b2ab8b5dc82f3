import {expect, it} from 'vitest';
import {showPrune} from '../../../src/lib/cli/show-prune.js';
import {createStyle} from '../../../src/lib/cli/style.js';

const none = {kept: [], removed: [], problems: [], setAside: null};
const told = (result: {folder: string; partials: string[]; dryRun: boolean}): string =>
  showPrune({...none, ...result}, createStyle(false, {})).join('\n');

it('says that unfinished copies in a bucket are removed, and leaves those in a folder to recover', () => {
  const partials = ['s3://bucket/shop/data/shop.0123/'];
  const bucket = {folder: 's3://bucket/shop', partials};
  expect(told({...bucket, dryRun: true})).toContain(
    '1 unfinished copy of other runs would be removed: s3://',
  );
  expect(told({...bucket, dryRun: false})).toContain('1 unfinished copy of other runs removed: s3://');
  const folder = told({folder: '/backups', partials: ['/backups/x.partial'], dryRun: false});
  expect(folder).toContain('1 unfinished file of other runs: /backups/x.partial.');
  expect(folder).toContain('destino-db recover --dry-run');
});
