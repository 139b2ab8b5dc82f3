/** The next step after `verify`. */
import {expect, it} from 'vitest';
import {showVerified} from '../../../../src/lib/cli/show/show-verified.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';

const proven = {
  id: 'shop-2026-11-25T02-00-04',
  path: 'x',
  content: 'whole' as const,
  code: null,
  hint: null,
  checks: [],
  level: 'archive' as const,
  findings: [],
  notes: [],
  duration: 1000,
  restoreDuration: null,
  rows: 5,
};
const style = createStyle(false, {}, false, 200);

it('repeats the location and the key of the command', () => {
  const show = showVerified({place: ['--from', 's3://bucket/my shop'], keys: ['--identity', 'key.txt']});
  expect(show({results: [{...proven, ok: true, outcome: 'passed'}], live: null}, style).at(-1)).toBe(
    "Next: destino-db verify shop-2026-11-25T02-00-04 --from 's3://bucket/my shop' --level restore --identity key.txt   (tests it with a restore)",
  );
  expect(show({results: [{...proven, ok: false, outcome: 'failed'}], live: null}, style).at(-1)).toMatch(
    /^Next: destino-db list --from 's3:\/\/bucket\/my shop' /,
  );
});

it('names neither where the backup is here and plain', () => {
  const show = showVerified({place: [], keys: []});
  expect(show({results: [{...proven, ok: true, outcome: 'passed'}], live: null}, style).at(-1)).toMatch(
    /^Next: destino-db verify shop-\S+ --level restore {3}/,
  );
});

it('says of each backup whether it is proven, why not, and how many are', () => {
  const show = showVerified({place: [], keys: []});
  const bad = {
    ...proven,
    id: 'shop-2',
    level: 'restore' as const,
    ok: false,
    outcome: 'failed' as const,
    findings: ['public.orders differs.'],
    rows: null,
  };
  const good = {
    ...proven,
    level: 'restore' as const,
    ok: true,
    outcome: 'passed' as const,
    restoreDuration: 500,
    notes: ['A note.'],
  };
  expect(show({results: [good, bad], live: null}, style)).toEqual([
    'ok    shop-2026-11-25T02-00-04: restored, every row equal, 5 rows, in 1.0 s (restore 500 ms)',
    '      Note: A note.',
    'FAIL  shop-2: failed the check by restore, after 1.0 s',
    '      public.orders differs.',
    '',
    '1 of 2 backups passed.',
    '',
    'Next: destino-db list   (shows the newest usable backup), then destino-db backup',
  ]);
});

it('does not call a backup bad that could not be checked here, and says what would make it possible', () => {
  const untested = {
    ...proven,
    level: 'restore' as const,
    ok: false,
    outcome: 'not-possible' as const,
    code: 'NOT_SUPPORTED_HERE' as const,
    findings: ['The extension "postgis" is not available.'],
    hint: 'Install it.',
  };
  const show = showVerified({place: [], keys: []});
  expect(show({results: [untested], live: null}, style)).toEqual([
    'skip  shop-2026-11-25T02-00-04: the check by restore is not possible here; this says nothing about the backup',
    '      The extension "postgis" is not available.',
    '      To make it possible: Install it.',
  ]);
});
