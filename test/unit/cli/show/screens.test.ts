/** The screens of terminals with 120, 80 and 40 columns, as they were reviewed (test/golden). */
import {describe, expect, it} from 'vitest';
import {fitLines} from '../../../../src/lib/cli/show/fit-lines.js';
import {showBackup} from '../../../../src/lib/cli/show/show-backup.js';
import {showList} from '../../../../src/lib/cli/show/show-list.js';
import {showHistory} from '../../../../src/lib/cli/show/show-history.js';
import {showOverview} from '../../../../src/lib/cli/show/show-overview.js';
import {showStatus} from '../../../../src/lib/cli/show/show-status.js';
import {showVerified} from '../../../../src/lib/cli/show/show-verified.js';
import {createStyle, type Style} from '../../../../src/lib/cli/show/style.js';
import {sampleRun} from '../../../support/sample-run.js';
import {limits, statusAt} from '../../../support/simulated-status.js';

const list = {
  folder: '/srv/shop/backups/database',
  now: '2026-11-25T17:30:00.000Z',
  backups: [
    [
      'shop-2026-11-25T02-00-04',
      '2026-11-25T02:00:04.000Z',
      1_304_000_000,
      2_392_000,
      'before-release',
      'restore',
    ],
    ['shop-2026-11-24T02-00-03', '2026-11-24T02:00:03.000Z', 1_290_000_000, 2_391_000, null, 'archive'],
  ].map(([id, createdAt, size, rows, label, level]) => ({
    id: String(id),
    path: `/srv/shop/backups/database/${id}.dump`,
    database: 'shop',
    host: 'db.example.net',
    server: 'db.example.net:5432',
    content: 'whole' as const,
    createdAt: String(createdAt),
    format: 'custom' as const,
    size: Number(size),
    rows: Number(rows),
    label: label === null || label === undefined ? null : String(label),
    equalTo: null,
    keep: false,
    verification: {
      level: level as 'archive' | 'restore',
      at: String(createdAt),
      ok: true,
      outcome: 'passed' as const,
    },
    notPossible: null,
    kept: null,
    madeBy: 'destino-db' as const,
    encrypted: false,
    masked: false,
    shrunkTables: [],
    missing: [],
    places: [],
  })),
  orderBackups: [],
  problems: [],
  setAside: [],
  places: [],
};

const backup = {
  mode: 'execute' as const,
  id: 'shop-2026-11-25T02-00-04',
  path: '/srv/shop/backups/database/shop-2026-11-25T02-00-04.dump',
  metadataPath: '/srv/shop/backups/database/shop-2026-11-25T02-00-04.metadata.json',
  database: 'shop',
  format: 'custom' as const,
  size: 1_304_000_000,
  duration: 252_000,
  sha256: 'ab',
  encrypted: false,
  masked: false,
  keyFlags: [],
  tables: [{table: 'public.orders', rows: 2_392_000, fingerprint: null}],
  content: 'whole' as const,
  verification: {level: 'archive' as const, ok: true, outcome: 'passed' as const},
  pruned: [],
  equalTo: null,
  shrink: [],
  unreadable: [],
  withoutRows: [],
  outside: [],
  warnings: [],
  commands: [],
  copies: [],
};

const overview = {
  ok: true,
  findings: [],
  uncheckedPlaces: [],
  database: {name: 'shop@db.example.net:5432/shop', origin: 'DIRECT_URL from .env.local'},
  problem: null,
  folder: '/srv/shop/backups/database',
  backups: 14,
  newest: {id: 'shop-2026-11-25T02-00-04', createdAt: '2026-11-25T02:00:04.000Z', proof: 'archive'},
  now: '2026-11-25T17:30:00.000Z',
  next: [
    {command: 'verify --latest --level restore', why: 'prove it by restoring it'},
    {command: 'list', why: 'the backups there are'},
  ],
};

it('the overview begins with the worst that status finds, and says how to see the rest', () => {
  const finding = {severity: 'critical' as const, code: 'TOO_OLD' as const, database: 'shop'};
  const findings = [1, 2, 3, 4, 5].map((count) => ({...finding, message: `shop: problem ${count}.`}));
  const lines = showOverview('destino-db')({...overview, ok: false, findings}, createStyle(false, {}));
  expect(lines.slice(0, 5)).toEqual([
    'CRITICAL shop: problem 1.',
    'CRITICAL shop: problem 2.',
    'CRITICAL shop: problem 3.',
    '2 more problems: destino-db status',
    '',
  ]);
  const copied = {...overview, uncheckedPlaces: ['s3://bucket/db']};
  expect(showOverview('destino-db')(copied, createStyle(false, {}))[0]).toBe(
    'OK The backups are young enough. Copies in other locations are not checked here.',
  );
});

it('a list that flags leave nothing of does not say that there are no backups', () => {
  const nothing = {...list, backups: []};
  const style = createStyle(false, {});
  expect(showList(nothing, style, {isFiltered: true})).toContain('See all: destino-db list');
  expect(showList(nothing, style)).toContain('Make one: destino-db backup');
});

const status = {
  ...statusAt('2026-11-15T12:00:00Z'),
  storage: {used: 1_500_000_000, free: 2_000_000_000},
  folder: '/srv/shop/backups/database',
  places: [],
  setAside: [],
  checkedAt: '2026-11-15T12:00:00Z',
  limits,
  forgotten: [],
};

const verified = {
  id: 'shop-2026-11-25T02-00-04',
  path: '/srv/shop/backups/database/shop-2026-11-25T02-00-04.dump',
  content: 'whole' as const,
  code: null,
  hint: null,
  checks: [],
  level: 'restore' as const,
  ok: true,
  outcome: 'passed' as const,
  findings: [],
  notes: ['Not compared: the passwords of roles, which no backup contains.'],
  duration: 372_000,
  restoreDuration: 188_000,
  rows: 2_392_000,
};
const differing = {
  ...verified,
  id: 'shop-2026-11-24T02-00-03',
  ok: false,
  outcome: 'failed' as const,
  findings: ['public.orders has 1,204 rows, but 14,300 in the metadata.'],
  rows: null,
};

const history = {
  runs: [
    sampleRun({size: 1_304_000_000, rows: 2_392_000, pruned: ['shop-2026-10-25T02-00-04']}),
    sampleRun({outcome: 'failed', errorCode: 'CONNECTION_REFUSED', errorMessage: 'Nothing answers at db.example.net:5432.'}),
    sampleRun({command: 'orders:clean', orders: 155, deletedRows: 732}),
  ],
  total: 12,
  unreadableLines: 0,
}; // prettier-ignore

const screens: Record<string, (style: Style) => string[]> = {
  list: (style) => showList(list, style),
  backup: (style) => showBackup('destino-db backup', ['destino-db', 'verify'])(backup, style),
  overview: (style) => showOverview('destino-db')(overview, style),
  status: (style) => showStatus(status, style),
  verify: showVerified({place: [], keys: []}).bind(null, {results: [verified, differing], live: null}),
  history: (style) => showHistory(history, style),
};

describe.each(Object.entries(screens))('the screen of %s', (name, show) => {
  it.each([120, 80, 40])('of %i columns', async (width) => {
    const style = createStyle(true, {NO_COLOR: '1'}, false, width);
    const lines = fitLines(show(style), width, 'destino-db');
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(`../../../golden/${name}-${width}.txt`);
    // Commands and paths are left whole, so that they can be pasted.
    const wide = lines.filter((line) => line.length > width && !/destino-db |\//.test(line));
    expect(wide).toEqual([]);
  });
});
