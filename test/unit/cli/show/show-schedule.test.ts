/** The result of schedule: a plan that was not installed must not look installed. */
import {expect, it} from 'vitest';
import {showSchedule} from '../../../../src/lib/cli/show/show-schedule.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {ScheduleResult} from '../../../../src/lib/services/schedule/schedule.js';

const result: ScheduleResult = {
  timeZone: 'America/Los_Angeles',
  jobs: [
    {
      name: 'daily-custom',
      sentence: 'daily custom',
      command: 'destino-db backup --format=custom',
      nextRuns: ['2026-11-26T10:00:00.000Z'],
    },
  ],
  as: 'systemd',
  installed: null,
  action: 'install',
  files: [{path: '/etc/systemd/system/a.timer', text: '[Timer]\n'}],
  isChanged: true,
  next: ['systemctl daemon-reload'],
};
const show = (changes: Partial<ScheduleResult>) =>
  showSchedule(new Date('2026-11-25T22:00:00Z'))({...result, ...changes}, createStyle(false, {}));

it('says where the plan was installed, when its jobs run next, and what is left to do', () => {
  expect(show({})).toEqual([
    'The plan was installed in systemd.',
    '  /etc/systemd/system/a.timer',
    '',
    'PLAN          NEXT RUN (UTC)                COMMAND',
    'daily custom  2026-11-26 10:00:00  in 12 h  destino-db backup --format=custom',
    'Times of the plan are in America/Los_Angeles.',
    '',
    'Next:',
    '  systemctl daemon-reload',
  ]);
});

it.each<[Partial<ScheduleResult>, string]>([
  [{as: 'cron', files: []}, 'The plan was installed in the crontab.'],
  [{as: 'cron', files: [], action: 'remove'}, 'The plan was removed from the crontab.'],
  [{as: 'github', action: 'remove'}, 'The plan was removed from the GitHub workflow.'],
  [{isChanged: false}, 'Nothing to change in systemd.'],
])('%j', (changes, headline) => {
  expect(show(changes)[0]).toBe(headline);
});

it('prints nothing but the files, each with its name where there are several', () => {
  const file = {path: '/u/a.timer', text: '[Timer]\n'};
  expect(show({action: 'print', files: [file]})).toEqual(['[Timer]']);
  expect(show({action: 'print', files: [file, {path: '/u/b.timer', text: '[Timer]\n'}]})).toEqual([
    '# /u/a.timer',
    '[Timer]',
    '',
    '# /u/b.timer',
    '[Timer]',
  ]);
});

it('leaves one empty line before the steps that a removal needs', () => {
  expect(show({as: 'systemd', files: [], action: 'remove'})).toEqual([
    'The plan was removed from systemd.',
    '',
    'Next:',
    '  systemctl daemon-reload',
  ]);
});
