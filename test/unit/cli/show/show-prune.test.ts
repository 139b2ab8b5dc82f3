import {expect, it} from 'vitest';
import {showPrune} from '../../../../src/lib/cli/show/show-prune.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';

const none = {kept: [], removed: [], problems: [], setAside: null};
const told = (result: {folder: string; partials: string[]; dryRun: boolean}): string =>
  showPrune('destino-db prune')({...none, ...result}, createStyle(false, {})).join('\n');

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

it('names backups and of databases set aside in one run, and ends in the command that a dry run stands for', () => {
  const one = {id: 'shop-2026-11-24T02-00-03', database: 'shop', size: 203_000, reason: 'older than 30 days'};
  const aside = {
    id: 'shop_before_20261124_020003',
    owner: 'shop',
    setAsideAt: '2026-11-24T02:00:03Z',
    reason: 'not the newest',
  };
  const result = {
    ...none,
    folder: '/backups',
    partials: [],
    removed: [{...one, createdAt: '2026-11-24T02:00:03Z'}],
    setAside: {kept: [], removed: [{...one, ...aside}]},
  };
  const lines = (dryRun: boolean): string[] =>
    showPrune('destino-db prune --set-aside')({...result, dryRun}, createStyle(false, {}));
  expect(lines(true)).toEqual([
    'would remove  shop-2026-11-24T02-00-03  203 kB  older than 30 days',
    '',
    '0 backups kept, 1 would be removed (203 kB).',
    '',
    'would drop  shop_before_20261124_020003  203 kB  2026-11-24 02:00:03Z  shop  not the newest',
    '',
    'Next: destino-db prune --set-aside',
  ]);
  expect(lines(false).at(-1)).toContain('dropped  shop_before_20261124_020003');
});
