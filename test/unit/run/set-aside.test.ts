import {expect, it} from 'vitest';
import {setAsideLines} from '../../../src/lib/cli/show/show-set-aside.js';
import type {SetAsideEvent} from '../../../src/lib/run/run-record.js';
import {knownSetAside} from '../../../src/lib/run/set-aside.js';
import {sampleRun} from '../../support/sample-run.js';

const event = (kind: SetAsideEvent['event'], hour: number, host = 'db.example'): SetAsideEvent => ({
  event: kind,
  name: `shop_before_20261122_0${hour}0000`,
  database: 'shop',
  host,
  port: 5432,
  at: `2026-11-22T0${hour}:00:00.000Z`,
  owner: 'shop',
  size: hour === 3 ? null : 1_200_000_000,
});

it('lists a set-aside database until a run drops it or brings it back', () => {
  const runs = [
    sampleRun({setAside: [event('made', 1)]}),
    sampleRun({setAside: [event('made', 2), event('made', 3)]}),
    sampleRun(),
    sampleRun({setAside: [event('gone', 1), event('gone', 2, 'another.example')]}),
  ];
  const known = knownSetAside(runs);
  expect(known.map(({name}) => name)).toEqual(['shop_before_20261122_030000', 'shop_before_20261122_020000']);
  expect(setAsideLines(known, new Date('2026-11-25T02:00:00.000Z'))).toEqual([
    '',
    '2 databases set aside by restores, as recorded by the last runs:',
    '  shop_before_20261122_030000: 2 d 23 h ago, on db.example:5432',
    '  shop_before_20261122_020000: 1.2 GB, 3 d ago, on db.example:5432',
    'Bring back: destino-db undo. Drop: destino-db prune --set-aside --all-of-them',
  ]);
  expect(setAsideLines([], new Date())).toEqual([]);
});

it('does not list a database that a run dropped which began before the one that set it aside', () => {
  // It waited for that one.
  const runs = [
    sampleRun({setAside: [event('made', 2), event('gone', 1)]}),
    sampleRun({setAside: [event('made', 1)]}),
  ];
  expect(knownSetAside(runs).map(({at}) => at)).toEqual(['2026-11-22T02:00:00.000Z']);
});
