/** destino-db init */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {askInit} from '../lib/cli/ask-init.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {commandLineCheck} from '../lib/cli/help/check-command-line.js';
import {countFlag, repeatableFlag} from '../lib/cli/flags.js';
import {initCommand, showInit} from '../lib/cli/show/show-init.js';
import {defaultAnswers, initProject, type InitAnswers} from '../lib/services/init/init-project.js';
import {backupFormats} from '../lib/base/formats.js';

export default class Init extends BaseCommand {
  static override summary = 'write a config file, .gitignore lines, package scripts';
  static override description = `Asks on a terminal; elsewhere, and with --yes, flags and defaults answer.
Nothing that is there is changed without --force, but for the lines added to .gitignore and package.json.
Exit codes: 0 done, 2 a wrong answer or a package.json that is no JSON, 3 a file cannot be written.`;
  static override examples = [
    {description: 'ask', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'without questions',
      command: '<%= config.bin %> <%= command.id %> --yes --keep-days 30 --plan "daily custom at 02:00"',
    },
    {description: 'see what it would write', command: '<%= config.bin %> <%= command.id %> --yes --dry-run'},
  ];
  static override flags = {
    format: Flags.option({helpGroup: 'BACKUPS', options: backupFormats, summary: 'Format of backups.'})(),
    'keep-days': countFlag('Keep backups for this many days; without it all are kept.', {
      helpGroup: 'BACKUPS',
      min: 1,
    }),
    'production-host': Flags.string({
      helpGroup: 'PRODUCTION',
      summary: 'Host of a production server (repeatable).',
      multiple: true,
    }),
    'production-database': Flags.string({
      helpGroup: 'PRODUCTION',
      summary: 'Name of a production database (repeatable).',
      multiple: true,
    }),
    plan: Flags.string({helpGroup: 'BACKUPS', summary: 'Backup plan, sentences parted by ";".'}),
    to: repeatableFlag('PLACE', 'Copy every backup there: s3://bucket/prefix or a folder (repeatable).', {
      helpGroup: 'BACKUPS',
    }),
    'encrypt-to': repeatableFlag(
      'AGE1...',
      'Encrypt every backup to this public key of age (repeatable; two, kept apart, are safer than one).',
      {helpGroup: 'BACKUPS'},
    ),
    'time-zone': Flags.string({helpGroup: 'BACKUPS', summary: 'Time zone of the plan.'}),
    force: Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'Replace a config file and package scripts that are there.',
    }),
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Show what would be written, line by line, and write nothing.',
    }),
    yes: Flags.boolean({helpGroup: 'SAFETY', char: 'y', summary: 'Ask nothing.'}),
  };

  async run() {
    const {flags} = await this.parse(Init);
    const offered: InitAnswers = defined({
      backupsDir: flags['backups-dir'] ?? defaultAnswers.backupsDir,
      format: flags.format ?? defaultAnswers.format,
      keepDays: flags['keep-days'],
      productionHosts: flags['production-host'] ?? [],
      productionDatabases: flags['production-database'] ?? [],
      plan: flags.plan === undefined ? defaultAnswers.plan : [flags.plan],
      timeZone: flags['time-zone'],
      places: flags.to,
      recipients: flags['encrypt-to'],
    });
    let answers = offered;
    const mayAsk = !flags.yes && !flags.quiet && !this.jsonEnabled();
    return this.perform(
      flags,
      async (context) => {
        answers = await askInit(offered, mayAsk, context.signal);
        return initProject(context, {
          answers,
          isDryRun: flags['dry-run'],
          isForced: flags.force,
          checkCommandLine: commandLineCheck(this.config),
        });
      },
      (result, style) =>
        showInit(result, initCommand(this.config.bin, answers, defaultAnswers, flags.force), style),
    );
  }
}
