/** destino-db prune */
import {Flags} from '@oclif/core';
import {resolve} from 'node:path';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {confirmFlags, countFlag, repeatableFlag, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {repeatCommand} from '../lib/cli/repeat-command.js';
import {showPrune} from '../lib/cli/show/show-prune.js';
import {prune, type PruneCommandResult} from '../lib/services/prune/prune.js';

export default class Prune extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'remove old backups by policy, with the reason for each';
  static override description =
    'A backup stays when any rule keeps it. The newest good backup of each database always stays, as do the newest one\n' +
    'proven by restore and the last --keep-min good ones. Rules come from the flags, else from "retention" in the config file.\n' +
    'For backups of production, --yes answers only where the rules come from the config file; for rules in flags and for\n' +
    'set-aside databases of production, only --confirm-db does. Retention after a backup does not ask.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage (also an empty policy), 3 environment, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> prune --keep-days 30 --dry-run',
    '<%= config.bin %> prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --yes',
  ];
  static override flags = {
    'keep-days': countFlag('Keep everything of the last N days.', {helpGroup: 'RULES', min: 0}),
    'keep-last': countFlag('Keep the newest N.', {helpGroup: 'RULES', min: 0}),
    'keep-daily': countFlag('Keep the newest of each of the last N days with a backup (UTC).', {
      helpGroup: 'RULES',
      min: 0,
    }),
    'keep-weekly': countFlag('The same for weeks (from Monday).', {helpGroup: 'RULES', min: 0}),
    'keep-monthly': countFlag('The same for months.', {helpGroup: 'RULES', min: 0}),
    'keep-yearly': countFlag('The same for years.', {helpGroup: 'RULES', min: 0}),
    'keep-label': repeatableFlag('LABEL', 'Keep every backup with this label (repeatable).', {
      helpGroup: 'RULES',
    }),
    'keep-min': countFlag('Never leave fewer good backups of a database (default 2).', {
      helpGroup: 'RULES',
      min: 1,
    }),
    'output-dir': Flags.string({
      helpGroup: 'WHAT',
      helpValue: 'DIR',
      summary: 'Folder to prune instead of BACKUPS-DIR/database.',
    }),
    from: Flags.string({
      helpGroup: 'WHAT',
      helpValue: 'PLACE',
      summary: 'Prune s3://bucket/prefix, or a folder, instead; what is locked there stays, and is told.',
      exclusive: ['output-dir', 'set-aside'],
    }),
    'set-aside': Flags.boolean({
      helpGroup: 'WHAT',
      summary:
        "Also drop databases that restore --drop-existing set aside for the URL's database, all but the newest; alone, only those.",
    }),
    'target-db': Flags.string({
      helpGroup: 'WHAT',
      helpValue: 'NAME',
      summary: "With --set-aside, the database instead of the URL's.",
      dependsOn: ['set-aside'],
    }),
    'all-of-them': Flags.boolean({
      helpGroup: 'WHAT',
      summary:
        'With --set-aside, drop the newest too, after a question of its own; undo has nothing left then.',
      dependsOn: ['set-aside'],
    }),
    'set-aside-db': repeatableFlag(
      'NAME',
      'With --set-aside, drop these alone, also where the owner or the name is doubtful (repeatable).',
      {helpGroup: 'WHAT', dependsOn: ['set-aside']},
    ),
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Say what would be removed and why; remove nothing.',
    }),
    ...waitFlag,
    ...confirmFlags,
    yes: Flags.boolean({
      ...confirmFlags.yes,
      summary: 'Answer the question with yes; for production only where the rules come from the config file.',
    }),
    'confirm-db': Flags.string({
      helpGroup: 'SAFETY',
      helpValue: 'NAME',
      summary: "Answer the question by the database's name, or by several with commas between them.",
    }),
  };

  async run(): Promise<PruneCommandResult> {
    const {flags} = await this.parse(Prune);
    return this.perform(
      flags,
      (context) =>
        prune(
          context,
          defined({
            policy: defined({
              keepDays: flags['keep-days'],
              keepLast: flags['keep-last'],
              keepDaily: flags['keep-daily'],
              keepWeekly: flags['keep-weekly'],
              keepMonthly: flags['keep-monthly'],
              keepYearly: flags['keep-yearly'],
              keepLabels: flags['keep-label'],
              keepMin: flags['keep-min'],
            }),
            from: flags.from,
            folder:
              flags['output-dir'] === undefined
                ? undefined
                : resolve(context.settings.cwd, flags['output-dir']),
            setAside: flags['set-aside'],
            setAsideChoice: defined({
              targetDb: flags['target-db'],
              isNewestToo: flags['all-of-them'],
              names: flags['set-aside-db'],
            }),
            dryRun: flags['dry-run'],
            waitMs: waitMsOf(flags),
          }),
        ),
      showPrune(repeatCommand(this.config.bin, 'prune', this.argv, [])),
    );
  }
}
