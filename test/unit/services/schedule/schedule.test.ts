/** Scheduled commands wait for one another, with a warning if they must. */
import {expect, it} from 'vitest';
import {planSchedule, type ScheduleOptions} from '../../../../src/lib/services/schedule/schedule.js';
import {testContext} from '../../../support/test-context.js';

const print = {
  action: 'print',
  program: {node: '/usr/bin/node', script: '/opt/run.js'},
  sharedFlags: [],
  checkCommandLine: () => Promise.resolve(undefined),
} as const;

async function printed(as: ScheduleOptions['as'], ...plan: string[]) {
  const context = testContext('/srv/shop', {settings: {config: {schedule: {plan}}}});
  const {files} = await planSchedule(context, {...print, as});
  return {text: files.map(({text}) => text).join('\n'), warnings: context.warnings};
}

it.each(['cron', 'systemd'] as const)(
  '%s lines wait for another run, unless the command cannot wait or the plan sets the limit',
  async (as) => {
    const plan = [
      'daily custom',
      'weekly restore test',
      'weekly prune',
      'daily status',
      'weekly run copy --to nas',
      'daily run backup --wait 60',
    ];
    const {text, warnings} = await printed(as, ...plan);
    const commands = text.split('\n').filter((line) => line.includes('/opt/run.js'));
    expect(commands.map((line) => line.replace(/^.*run\.js /, ''))).toEqual([
      'backup --format=custom --wait=21600 --quiet',
      'verify --latest --level=restore --wait=21600 --quiet',
      'prune --yes --wait=21600 --quiet',
      'status --quiet',
      'copy --to nas --quiet',
      'backup --wait 60 --quiet',
    ]);
    expect(warnings).toEqual([]);
  },
);

it('warns of colliding times in the plan, but not of chosen times', async () => {
  expect((await printed('cron', 'daily custom at 02:00', 'daily sql at 02:00')).warnings).toEqual([
    'Jobs of the plan start in the same minute, and one waits for the other: "daily custom at 02:00" and "daily sql at 02:00". Omit "at" to get times that do not collide.',
  ]);
});

it.each(['cron', 'systemd'] as const)(
  'plans a masked copy of another environment every night, as %s',
  async (as) => {
    const {text, warnings} = await printed(
      as,
      'daily run refresh --target-url-env STAGING_URL --target-db shop_staging --yes at 04:00',
    );
    expect(text).toMatch(
      /refresh --target-url-env STAGING_URL --target-db shop_staging --yes(?: --wait=21600)?/,
    );
    expect(text).toMatch(/(?:0 4 \* \* \*|04:00)/);
    expect(warnings).toEqual([]);
  },
);
