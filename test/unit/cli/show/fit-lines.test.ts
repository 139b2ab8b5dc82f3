import {describe, expect, it} from 'vitest';
import {fitLines} from '../../../../src/lib/cli/show/fit-lines.js';

const fit = (line: string, width: number): string[] => fitLines([line], width, 'destino-db');

describe('lines on a terminal', () => {
  it('stay as they are where they fit, and where there is no terminal', () => {
    expect(fit('as wide as this', 30)).toEqual(['as wide as this']);
    const long = 'word '.repeat(50).trim();
    expect(fitLines([long], undefined, 'destino-db')).toEqual([long]);
  });

  it('are broken between words, the rest set in', () => {
    expect(fit('The database as it was before is kept as shop_before.', 30)).toEqual([
      'The database as it was before',
      '    is kept as shop_before.',
    ]);
  });

  it('leave commands whole, to be pasted, on a line of their own', () => {
    const command = 'destino-db verify shop-2026-11-25T17-27-29 --level restore';
    expect(fit(`Test it with a restore: ${command}`, 40)).toEqual([
      'Test it with a restore:',
      `  ${command}`,
    ]);
    expect(fit(`  ${command}`, 40)).toEqual([`  ${command}`]);
    expect(fit(`  ${command}   to prove it`, 40)).toEqual([`  ${command}`, '      to prove it']);
    expect(fit(`\u001b[1mNext:\u001b[22m ${command}`, 40)).toEqual([
      '\u001b[1mNext:\u001b[22m',
      `  ${command}`,
    ]);
    expect(fit(`Next: ${command}   (tests it with a restore)`, 40)).toEqual([
      'Next:',
      `  ${command}`,
      '      (tests it with a restore)',
    ]);
    const tool = 'PGHOST=127.0.0.1 PGUSER=shop pg_restore --exit-on-error shop.dump';
    expect(fit(`  ${tool}`, 40)).toEqual([`  ${tool}`]);
    const quoted = `destino-db list --label 'two  spaces' --from /srv/backups`;
    expect(fit(quoted, 40)).toEqual([quoted]);
  });

  it('do not break text without a space, and do not count colours', () => {
    const path = '/srv/shop/backups/database/shop-2026-11-25T17-27-29.dump';
    expect(fit(`  ${path}`, 40)).toEqual([`  ${path}`]);
    expect(fit(`\u001b[1m${'x'.repeat(30)}\u001b[22m`, 30)).toHaveLength(1);
  });
});
