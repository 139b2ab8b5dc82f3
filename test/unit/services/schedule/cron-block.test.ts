/** The crontab block does not change other lines. */
import {describe, expect, it} from 'vitest';
import {cronBlock, withCronBlock} from '../../../../src/lib/services/schedule/cron-block.js';

const job = {
  name: 'daily-custom',
  sentence: 'daily custom at 02:00',
  times: [{unit: 'day', hour: 2, minute: 0}],
  words: ['/usr/bin/node', "/opt/100% it's/run.js", 'backup', '--label=a b'],
} as const;
const block = cronBlock([job], '/srv/shop');

describe('cronBlock', () => {
  it('sets PATH inside the line, quotes for the shell and escapes every % for cron', () => {
    expect(block.split('\n')).toEqual([
      '# BEGIN destino-db schedule of /srv/shop',
      '# made by destino-db schedule --install, which replaces it; --remove removes it',
      '# daily custom at 02:00',
      `0 2 * * * cd /srv/shop && PATH=/usr/local/bin:/usr/bin:/bin /usr/bin/node '/opt/100\\% it'\\''s/run.js' backup '--label=a b'`,
      '# END destino-db schedule of /srv/shop',
      '',
    ]);
  });

  it('writes the five fields of every kind of time', () => {
    const times = [
      {unit: 'hour', minute: 15},
      {unit: 'week', weekday: 0, hour: 3, minute: 30},
      {unit: 'month', day: 28, hour: 23, minute: 59},
    ] as const;
    const lines = cronBlock(
      times.map((every) => ({...job, times: [every]})),
      '/srv/shop',
    ).split('\n');
    expect(
      lines.filter((line) => /^\d/.test(line)).map((line) => line.split(' ').slice(0, 5).join(' ')),
    ).toEqual(['15 * * * *', '30 3 * * 0', '59 23 28 * *']);
  });
});

describe('withCronBlock', () => {
  const others =
    'MAILTO=ops@example.net\r\n\n\t5 4 * * * /usr/local/bin/other \\% # x\n# no newline at the end';

  it('appends the block, and removing it restores the other lines byte for byte', () => {
    const installed = withCronBlock(others, '/srv/shop', block);
    expect(installed).toBe(`${others}\n${block}`);
    expect(withCronBlock(installed, '/srv/shop', undefined)).toBe(`${others}\n`);
  });

  it('changes nothing when installed twice, and replaces the block at its position', () => {
    const installed = `${withCronBlock('', '/srv/shop', block)}1 1 * * * after\n`;
    expect(withCronBlock(installed, '/srv/shop', block)).toBe(installed);
    const changed = block.replace('0 2', '9 9');
    expect(withCronBlock(installed, '/srv/shop', changed)).toBe(`${changed}1 1 * * * after\n`);
  });

  it('keeps the blocks of other folders, even of one with the same prefix', () => {
    const both = withCronBlock(
      withCronBlock('', '/srv/shop', block),
      '/srv/shop2',
      cronBlock([job], '/srv/shop2'),
    );
    expect(withCronBlock(both, '/srv/shop', undefined)).toBe(cronBlock([job], '/srv/shop2'));
  });

  it.each([
    ['the end is missing', block.replace(/# END.*\n/, '')],
    ['the begin is missing', block.replace(/# BEGIN.*\n/, '')],
    ['there are two blocks', block + block],
    [
      'they are the wrong way round',
      block.replace('# BEGIN', '# X').replace('# END', '# BEGIN').replace('# X', '# END'),
    ],
  ])('refuses marker lines that do not form a pair: %s', (_what, damaged) => {
    expect(() => withCronBlock(`1 1 * * * x\n${damaged}`, '/srv/shop', block)).toThrow('do not form a pair');
  });
});
