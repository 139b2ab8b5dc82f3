/** The results of copy and undo. */
import {expect, it} from 'vitest';
import {showCopy} from '../../../../src/lib/cli/show/show-copy.js';
import {showUndo} from '../../../../src/lib/cli/show/show-undo.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';

const style = createStyle(false, {});

it('copy says of each copy whether it was made, where, and whether it is encrypted', () => {
  const copy = {id: 'shop-1', to: 's3://bucket', metadataPath: 'x', size: 2_000_000, duration: 1200};
  const copies = [
    {...copy, encrypted: true, outcome: 'copied'},
    {...copy, to: '/disk', encrypted: false, outcome: 'present'},
  ] as const;
  expect(showCopy({from: '/b', copies}, style)).toEqual([
    'copied     shop-1  s3://bucket  2.0 MB  encrypted      1.2 s',
    'was there  shop-1  /disk        2.0 MB  not encrypted  1.2 s',
    '',
    'See them: destino-db list --from s3://bucket',
    'See them: destino-db list --from /disk',
  ]);
  expect(showCopy({from: '/b', copies: []}, style)).toEqual(['There was nothing to copy.']);
});

it('undo says which database is which now', () => {
  const undone = {
    mode: 'execute',
    target: 'shop',
    host: 'h',
    broughtBack: 'shop_before_1',
    setAsideAt: '2026-11-25T20:32:15.476Z',
    setAside: 'shop_before_2',
  } as const;
  const show = showUndo((target) => `destino-db undo --env-file=/srv/.env --target-db ${target}`);
  expect(show(undone, style)).toEqual([
    'shop is the database again that was set aside at 2026-11-25 20:32:15Z (shop_before_1).',
    'The newer content is kept as shop_before_2.',
    'Take this back: destino-db undo --env-file=/srv/.env --target-db shop',
  ]);
  expect(show({...undone, mode: 'dry-run', setAside: null}, style)[0]).toBe(
    'This would be done; nothing was changed.',
  );
});
