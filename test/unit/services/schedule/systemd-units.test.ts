/** The exact text of systemd units: nobody notices an error in one of them until a backup is missing. */
import {expect, it} from 'vitest';
import {calendars, systemdUnits} from '../../../../src/lib/services/schedule/systemd-units.js';

const job = {
  name: 'weekly-sql',
  sentence: 'weekly sql on monday at 03:05, 100%',
  times: [{unit: 'week', weekday: 1, hour: 3, minute: 5}],
  words: ['/usr/bin/node', '/opt/it "is"/$HOME/100%/run.js', 'backup', '--label=a b', '--quiet'],
} as const;

it('the service runs the command in its folder, with private files and without a time limit', () => {
  const [service] = systemdUnits([job], '/srv/100% shop', 'shop-abc', 'UTC');
  expect(service?.name).toBe('destino-db-shop-abc-weekly-sql.service');
  expect(service?.text.split('\n')).toEqual([
    '# destino-db schedule of /srv/100% shop; made by destino-db schedule, which replaces it',
    '[Unit]',
    'Description=destino-db: weekly sql on monday at 03:05, 100%%',
    'Wants=network-online.target',
    'After=network-online.target',
    '',
    '[Service]',
    'Type=oneshot',
    'WorkingDirectory=/srv/100%% shop',
    'ExecStart=/usr/bin/node "/opt/it \\"is\\"/$$HOME/100%%/run.js" backup "--label=a b" --quiet',
    'UMask=0077',
    'Nice=10',
    'NoNewPrivileges=true',
    'TimeoutStartSec=infinity',
    'KillMode=mixed',
    '',
  ]);
});

it('the timer uses the zone of the plan and starts missed runs later', () => {
  const [, timer] = systemdUnits([job], '/srv/shop', 'shop-abc', 'America/Los_Angeles');
  expect(timer?.name).toBe('destino-db-shop-abc-weekly-sql.timer');
  expect(timer?.text.split('\n').filter((line) => /^[A-Z]/.test(line))).toEqual([
    'Description=destino-db: weekly sql on monday at 03:05, 100%%',
    'OnCalendar=Mon *-*-* 03:05:00 America/Los_Angeles',
    'Persistent=true',
    'WantedBy=timers.target',
  ]);
  expect(systemdUnits([job], '/srv/shop', 'shop-abc', '')[1]?.text).toContain(
    'OnCalendar=Mon *-*-* 03:05:00\n',
  );
});

it.each([
  [{unit: 'hour', minute: 5}, '*-*-* *:05:00'],
  [{unit: 'day', hour: 0, minute: 0}, '*-*-* 00:00:00'],
  [{unit: 'week', weekday: 0, hour: 23, minute: 59}, 'Sun *-*-* 23:59:00'],
  [{unit: 'week', weekday: 6, hour: 3, minute: 0}, 'Sat *-*-* 03:00:00'],
  [{unit: 'month', day: 1, hour: 4, minute: 0}, '*-*-01 04:00:00'],
] as const)('%j is %s', (every, text) => {
  expect(calendars(every)).toEqual([text]);
});
