import {describe, expect, it} from 'vitest';
import {readCatalogue} from '../../../src/lib/catalog/catalogue.js';
import {
  defaultShrinkLimits,
  describeLosses,
  findShrinkage,
  lastComparable,
} from '../../../src/lib/catalog/shrink-alarm.js';
import {tempFolder} from '../../support/run-cli.js';
import {sampleRecord, writeSampleBackup} from '../../support/sample-backups.js';
import {rm} from 'node:fs/promises';

const table = (name: string, rows: number, schema = 'public') => ({schema, name, rows, fingerprint: null});

describe('findShrinkage', () => {
  it('finds tables that lost more than the share, became empty or are gone, largest loss first', () => {
    const before = [
      table('kept', 1000),
      table('half', 1000),
      table('lost', 1000),
      table('gone', 500),
      table('emptied', 3),
      table('few', 9),
    ];
    const now = [
      table('kept', 900),
      table('half', 500),
      table('lost', 499),
      table('emptied', 0),
      table('few', 1),
      table('new', 0),
    ];
    const shrink = findShrinkage(before, now, defaultShrinkLimits);
    expect(shrink).toEqual([
      {table: 'public.lost', rowsBefore: 1000, rowsNow: 499},
      {table: 'public.gone', rowsBefore: 500, rowsNow: 0},
    ]);
    expect(describeLosses({shrink, tables: now})).toEqual([
      'public.lost has 499 rows, 1,000 before',
      'public.gone is gone, with 500 rows',
    ]);
  });

  it('is not raised by a small work table that comes and goes', () => {
    for (const rows of [1, 9]) {
      const before = [table('orders', 1000), table('work', rows)];
      expect(findShrinkage(before, [table('orders', 1000)], defaultShrinkLimits)).toEqual([]);
      expect(findShrinkage(before, [table('orders', 1000), table('work', 0)], defaultShrinkLimits)).toEqual(
        [],
      );
    }
  });

  it('is raised if small tables lose many rows in total, or if no rows are left', () => {
    const small = ['a', 'b', 'c'].map((name) => table(name, 4));
    const empty = small.map(({name}) => table(name, 0));
    expect(
      findShrinkage([table('kept', 50), ...small], [table('kept', 50), ...empty], defaultShrinkLimits),
    ).toHaveLength(3);
    expect(findShrinkage([table('only', 1)], [table('only', 0)], defaultShrinkLimits)).toHaveLength(1);
    expect(findShrinkage([table('only', 1)], [], defaultShrinkLimits)).toHaveLength(1);
  });

  it('does not mix up tables with dots in their names', () => {
    const before = [table('b.c', 100, 'a'), table('c', 100, 'a.b')];
    const now = [table('b.c', 100, 'a'), table('c', 10, 'a.b')];
    expect(findShrinkage(before, now, defaultShrinkLimits)).toHaveLength(1);
  });

  it('with a limit of 100 percent, reports only emptied tables', () => {
    const limits = {maxLossPercent: 100, minRows: 0};
    expect(
      findShrinkage([table('a', 100), table('b', 1)], [table('a', 1), table('b', 0)], limits),
    ).toHaveLength(1);
  });
});

describe('lastComparable', () => {
  it('is the newest intact backup of the same database and selection of tables, without an alarm', async () => {
    const folder = await tempFolder();
    const failed = {
      level: 'archive' as const,
      at: '2026-11-22T04:00:00Z',
      ok: false,
      duration: 1,
      findings: ['x'],
    };
    const verification = {...failed, ok: true, findings: []};
    const config = sampleRecord('2026-11-22T03:10:00Z').config;
    const fitting = await writeSampleBackup(folder, '2026-11-10T03:10:00Z', {verification});
    await writeSampleBackup(folder, '2026-11-09T03:10:00Z', {verification});
    await writeSampleBackup(folder, '2026-11-11T03:10:00Z'); // never checked, so its rows were never counted
    await writeSampleBackup(folder, '2026-11-22T03:10:00Z', {verification: failed});
    await writeSampleBackup(folder, '2026-11-21T03:10:00Z', {verification, databaseName: 'blog'});
    await writeSampleBackup(folder, '2026-11-20T03:10:00Z', {
      verification,
      shrink: [{table: 'public.x', rowsBefore: 9, rowsNow: 0}],
    });
    await writeSampleBackup(folder, '2026-11-19T03:10:00Z', {
      verification,
      config: {...config, schemaOnly: true},
    });
    await writeSampleBackup(folder, '2026-11-18T03:10:00Z', {
      verification,
      config: {...config, excludeTables: ['logs']},
    });
    await writeSampleBackup(folder, '2026-11-22T20:10:00Z', {
      verification,
      config: {...config, excludeTableData: ['logs']},
    });
    const {backups} = await readCatalogue(folder);
    await rm(folder, {recursive: true});
    expect(lastComparable(backups, sampleRecord('2026-11-23T03:10:00Z'))?.id).toBe(fitting.id);
    expect(lastComparable(backups, {...fitting, config: {...config, schemaOnly: true}})).toBeUndefined();
  });
});
