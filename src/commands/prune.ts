/** destino-db prune */
import {Flags} from '@oclif/core';
import {resolve} from 'node:path';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {confirmFlags, countFlag, groups, repeatableFlag, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {repeatCommand} from '../lib/cli/repeat-command.js';
import {showPrune} from '../lib/cli/show/show-prune.js';
import {prune, type PruneCommandResult} from '../lib/services/prune/prune.js';

export default class Prune extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'remove old backups by policy, with the reason for each';
  static override description =
    'A backup stays when any rule keeps it. The newest usable backup of each database always stays, as do the newest one\n' +
    'proven by a restore and the last --keep-min usable ones. Rules come from the flags, else from "retention" in the config file.\n' +
    'For backups of production, --yes answers only where the rules come from the config file; for rules in flags and for\n' +
    'set-aside databases of production, only --confirm-db does. Retention after a backup does not ask.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage (also an empty policy), 3 environment, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> prune --keep-days 30 --dry-run',
    '<%= config.bin %> prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --yes',
  ];
  static override flags = {
    'keep-days': countFlag('Keep all backups of the last N days.', {helpGroup: groups.whatToKeep, min: 0}),
    'keep-last': countFlag('Keep the newest N backups.', {helpGroup: groups.whatToKeep, min: 0}),
    'keep-within': Flags.string({
      helpGroup: groups.whatToKeep,
      helpValue: 'DURATION',
      summary: 'Keep all backups of this duration before the newest usable one, such as 36h.',
    }),
    'keep-hourly': countFlag('Keep the newest backup of each of the last N hours that have one (UTC).', {
      helpGroup: groups.whatToKeep,
      min: 0,
    }),
    'keep-daily': countFlag('Keep the newest backup of each of the last N days that have one (UTC).', {
      helpGroup: groups.whatToKeep,
      min: 0,
    }),
    'keep-weekly': countFlag('Keep the newest backup of each of the last N weeks, from Monday on.', {
      helpGroup: groups.whatToKeep,
      min: 0,
    }),
    'keep-monthly': countFlag('Keep the newest backup of each of the last N months.', {
      helpGroup: groups.whatToKeep,
      min: 0,
    }),
    'keep-yearly': countFlag('Keep the newest backup of each of the last N years.', {
      helpGroup: groups.whatToKeep,
      min: 0,
    }),
    'keep-label': repeatableFlag('LABEL', 'Keep every backup with this label (repeatable).', {
      helpGroup: groups.whatToKeep,
    }),
    'keep-min': countFlag('Number of usable backups of a database to keep in any case (default: 2).', {
      helpGroup: groups.whatToKeep,
      min: 1,
    }),
    database: repeatableFlag('NAME', 'Database whose backups are pruned (repeatable; default: all).', {
      helpGroup: groups.whichBackup,
      exclusive: ['all-databases', 'set-aside'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Prune only backups of "databases" in the config file, each by its own rules.',
      exclusive: ['set-aside'],
    }),
    'output-dir': Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'DIR',
      summary: 'Folder to prune (default: "database" in the backups folder).',
    }),
    from: Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PLACE',
      summary: 'Location to prune: s3://bucket/prefix or a folder. Locked objects stay and are reported.',
      exclusive: ['output-dir', 'set-aside'],
    }),
    'set-aside': Flags.boolean({
      helpGroup: groups.setAside,
      summary:
        "Drop databases that restore --drop-existing set aside for the URL's database, except for the newest; without a rule, nothing else is removed.",
    }),
    'target-db': Flags.string({
      helpGroup: groups.setAside,
      helpValue: 'NAME',
      summary: 'Database whose set-aside databases are dropped (default: that of the URL).',
      dependsOn: ['set-aside'],
    }),
    'all-of-them': Flags.boolean({
      helpGroup: groups.setAside,
      summary:
        'Drop the newest set-aside database too, after a question of its own; undo is not possible afterwards.',
      dependsOn: ['set-aside'],
    }),
    'set-aside-db': repeatableFlag(
      'NAME',
      'Set-aside database to drop, even where its owner or name is doubtful (repeatable; default: all but the newest).',
      {helpGroup: groups.setAside, dependsOn: ['set-aside']},
    ),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Print what would be removed and why, and remove nothing.',
    }),
    ...waitFlag,
    ...confirmFlags,
    yes: Flags.boolean({
      ...confirmFlags.yes,
      summary: 'Confirm without a question; for production only where the rules come from the config file.',
    }),
    'confirm-db': Flags.string({
      helpGroup: groups.safety,
      helpValue: 'NAME',
      summary: "Confirm by the database's name, or by several names with commas between them.",
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
              keepWithin: flags['keep-within'],
              keepHourly: flags['keep-hourly'],
              keepDaily: flags['keep-daily'],
              keepWeekly: flags['keep-weekly'],
              keepMonthly: flags['keep-monthly'],
              keepYearly: flags['keep-yearly'],
              keepLabels: flags['keep-label'],
              keepMin: flags['keep-min'],
            }),
            from: flags.from,
            databases: flags.database,
            isAllDatabases: flags['all-databases'],
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
