/** What `verify` suggests next. */
import {expect, it} from 'vitest';
import {showVerified} from '../../../src/lib/cli/show-verified.js';
import {createStyle} from '../../../src/lib/cli/style.js';

const proven = {
  id: 'shop-2026-11-25T02-00-04',
  path: 'x',
  level: 'archive' as const,
  findings: [],
  notes: [],
  duration: 1000,
  restoreDuration: null,
  rows: 5,
};
const style = createStyle(false, {}, false, 200);

it('names the place and the key that were named', () => {
  const show = showVerified({place: ['--from', 's3://bucket/my shop'], keys: ['--identity', 'key.txt']});
  expect(show({results: [{...proven, ok: true}]}, style).at(-1)).toBe(
    "Next: destino-db verify --from 's3://bucket/my shop' --backup-file shop-2026-11-25T02-00-04 --level restore --identity key.txt   (proves that it restores)",
  );
  expect(show({results: [{...proven, ok: false}]}, style).at(-1)).toMatch(
    /^Next: destino-db list --from 's3:\/\/bucket\/my shop' /,
  );
});

it('names neither where the backup is here and plain', () => {
  const show = showVerified({place: [], keys: []});
  expect(show({results: [{...proven, ok: true}]}, style).at(-1)).toMatch(
    /^Next: destino-db verify --backup-file shop-\S+ --level restore {3}/,
  );
});
