/** destino-db init */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {askInit} from '../lib/cli/ask-init.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {commandLineCheck} from '../lib/cli/help/check-command-line.js';
import {countFlag, groups, repeatableFlag} from '../lib/cli/flags.js';
import {initCommand, showInit} from '../lib/cli/show/show-init.js';
import {defaultAnswers, initProject, type InitAnswers} from '../lib/services/init/init-project.js';
import {backupFormats} from '../lib/base/formats.js';

export default class Init extends BaseCommand {
  static override summary = 'write a config file, .gitignore lines, package scripts';
  static override description = `Asks on a terminal; elsewhere, and with --yes, flags and defaults answer.
Existing files stay as they are without --force, except for lines added to .gitignore and package.json.
Exit codes: 0 done, 2 a wrong answer or a package.json that is not JSON, 3 a file cannot be written.`;
  static override examples = [
    {description: 'ask', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'without questions',
      command: '<%= config.bin %> <%= command.id %> --yes --keep-days 30 --plan "daily custom at 02:00"',
    },
    {description: 'see what it would write', command: '<%= config.bin %> <%= command.id %> --yes --dry-run'},
  ];
  static override flags = {
    format: Flags.option({
      helpGroup: groups.config,
      options: backupFormats,
      summary: 'Format of backups (default: custom).',
    })(),
    'keep-days': countFlag('Number of days to keep backups for (default: no limit).', {
      helpGroup: groups.config,
      min: 1,
    }),
    'production-host': Flags.string({
      helpGroup: groups.config,
      helpValue: 'HOST',
      summary: 'Host of a production server (repeatable).',
      multiple: true,
    }),
    'production-database': Flags.string({
      helpGroup: groups.config,
      helpValue: 'NAME',
      summary: 'Name of a production database (repeatable).',
      multiple: true,
    }),
    plan: Flags.string({
      helpGroup: groups.config,
      helpValue: 'TEXT',
      summary:
        'Backup plan, with ";" between its sentences, as "daily custom at 02:00; weekly sql" (default: none).',
    }),
    to: repeatableFlag(
      'PLACE',
      'Location to copy every backup to: s3://bucket/prefix or a folder (repeatable).',
      {
        helpGroup: groups.config,
      },
    ),
    'encrypt-to': repeatableFlag(
      'AGE1...',
      'Public age key to encrypt every backup to (repeatable; two keys kept apart are safer than one).',
      {helpGroup: groups.config},
    ),
    'time-zone': Flags.string({
      helpGroup: groups.config,
      helpValue: 'ZONE',
      summary: "Time zone of the plan, as Europe/Berlin (default: the machine's).",
    }),
    force: Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Replace an existing config file and existing package scripts.',
    }),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Print every line that would be written, and write nothing.',
    }),
    yes: Flags.boolean({
      helpGroup: groups.safety,
      char: 'y',
      summary: 'Ask nothing: flags and defaults answer.',
    }),
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
