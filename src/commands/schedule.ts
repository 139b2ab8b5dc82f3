/** destino-db schedule */
import {join, resolve} from 'node:path';
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {commandLineCheck} from '../lib/cli/help/check-command-line.js';
import {groups, repeatableFlag, settingsWords} from '../lib/cli/flags.js';
import {AppError, exitStatus} from '../lib/base/errors.js';
import {createPlanRunner} from '../lib/cli/plan-runner.js';
import {showScheduleCheck} from '../lib/cli/show/show-schedule-check.js';
import {showSchedule} from '../lib/cli/show/show-schedule.js';
import type {RunContext} from '../lib/run/run-context.js';
import {checkScheduleHistory} from '../lib/services/schedule/check-history.js';
import {runPlan, type RunPlanOptions} from '../lib/services/schedule/run-plan.js';
import {
  defaultImage,
  planSchedule,
  type ScheduleOptions,
  schedulers,
} from '../lib/services/schedule/schedule.js';

export default class Schedule extends BaseCommand {
  static override summary = 'print, install or run a plan: cron, systemd, containers';
  static override description = `The plan is in the config file, a sentence for each job:
  "schedule": {"plan": ["daily custom at 02:00 keep 30 days", "weekdays schema at 12:00", "cron 15 3 * * 6 restore test"]}
Exit codes: 0 done, 2 no plan or a wrong one, 4 --check found something, 5 a file of somebody else is in the way.`;
  static override examples = [
    {description: 'show the plan and its next runs', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'put it into the crontab',
      command: '<%= config.bin %> <%= command.id %> --as cron --install',
    },
    {description: 'print systemd units', command: '<%= config.bin %> <%= command.id %> --as systemd'},
  ];
  static override flags = {
    as: Flags.option({
      helpGroup: groups.output,
      options: schedulers,
      summary: 'Scheduler to print or install the plan for (default: cron).',
    })(),
    database: repeatableFlag('NAME', 'Database whose jobs are meant (repeatable; default: all jobs).', {
      helpGroup: groups.whichDatabase,
      exclusive: ['all-databases', 'check'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichDatabase,
      summary: 'Use only jobs for "databases" of the config file.',
      exclusive: ['check'],
    }),
    install: Flags.boolean({
      helpGroup: groups.whereTo,
      summary: 'Install the plan (default: print it).',
      exclusive: ['remove'],
    }),
    remove: Flags.boolean({helpGroup: groups.whereTo, summary: 'Remove an installed plan.'}),
    check: Flags.boolean({
      helpGroup: groups.output,
      summary:
        'Compare the plan with the audit log, with exit code 4 if the last run of a job failed or was missed.',
      exclusive: ['install', 'remove', 'as'],
    }),
    run: Flags.boolean({
      helpGroup: groups.output,
      summary: 'Run the jobs at their times in this process, as in a container (default: print the plan).',
      exclusive: ['install', 'remove', 'as', 'check', 'json'],
    }),
    image: Flags.string({
      helpGroup: groups.output,
      summary: `Image in the manifests of --as kubernetes and --as compose (default: ${defaultImage}).`,
      helpValue: 'NAME',
    }),
    'unit-dir': Flags.string({
      helpGroup: groups.whereTo,
      summary: "Folder for systemd units (default: systemd's own).",
      helpValue: 'DIR',
    }),
  };

  async run() {
    const {flags} = await this.parse(Schedule);
    if (flags['unit-dir'] !== undefined && flags.as !== 'systemd')
      throw new AppError('USAGE', '--unit-dir needs --as systemd: no other scheduler has units.');
    if (flags.image !== undefined && flags.as !== 'kubernetes' && flags.as !== 'compose')
      throw new AppError('USAGE', '--image needs --as kubernetes or --as compose.');
    const checkCommandLine = commandLineCheck(this.config);
    const chosen = defined({databases: flags.database, isAllDatabases: flags['all-databases']});
    if (flags.check) {
      const work = (context: RunContext) => checkScheduleHistory(context, checkCommandLine, chosen);
      return this.perform(flags, work, showScheduleCheck, {
        exitCodeOf: (check) => (check.ok ? 0 : exitStatus.integrity),
      });
    }
    refuseUrl(flags['database-url']);
    const metrics = flags['metrics-file'];
    const sharedFlags = [
      ...settingsWords(flags),
      ...(metrics === undefined ? [] : [`--metrics-file=${resolve(metrics)}`]),
    ];
    const script = join(this.config.root, 'bin/run.js');
    if (flags.run) {
      const options: RunPlanOptions = defined({
        checkCommandLine,
        sharedFlags: [...(flags.quiet ? ['--quiet'] : []), ...sharedFlags],
        ...chosen,
      });
      const runner = createPlanRunner(script, flags.quiet);
      return this.perform(
        flags,
        (context) => runPlan(context, options, runner),
        () => [],
      );
    }
    const action = flags.install
      ? 'install'
      : flags.remove
        ? 'remove'
        : flags.as === undefined
          ? 'show'
          : 'print';
    const options: ScheduleOptions = defined({
      as: flags.as ?? (action === 'show' ? undefined : 'cron'),
      action,
      checkCommandLine,
      program: {node: process.execPath, script},
      sharedFlags,
      image: flags.image,
      ...chosen,
      unitFolder: flags['unit-dir'] === undefined ? undefined : resolve(flags['unit-dir']),
    });
    return this.perform(flags, (context) => planSchedule(context, options), showSchedule(new Date()));
  }
}

/** @throws USAGE for a URL, which would be stored in the clear */
function refuseUrl(url: string | undefined): void {
  if (url === undefined) return;
  throw new AppError(
    'USAGE',
    '--database-url cannot be part of a schedule: its password would be stored in the clear.',
    {hint: 'Put DIRECT_URL into .env.local of this folder, or name its file with --env-file.'},
  );
}
