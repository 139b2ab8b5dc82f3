/** destino-db restore */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  atFlag,
  backupArgument,
  confirmFlags,
  countFlag,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  namedBackup,
  placeFlags,
  repeatableFlag,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand, withoutArgument} from '../lib/cli/repeat-command.js';
import {showRestore} from '../lib/cli/show/show-restore.js';
import {exitStatus} from '../lib/base/errors.js';
import {parseEndOf} from '../lib/base/parse-end-of.js';
import {toastCompressions} from '../lib/postgres/tools/pg-restore.js';
import type {RestoreRequest} from '../lib/services/restore/options.js';
import {restoreFrom} from '../lib/services/restore/restore.js';

export default class Restore extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'restore a backup into a new, empty or existing database';
  static override description = `The whole backup is read and compared with its checksums before the target is touched, and the target is
compared with the backup afterwards. A database that is not empty is refused unless --clean or --drop-existing is given.
A custom or sql backup goes from a bucket (--from) straight into a database of its own (--create-db, --drop-existing) and is
read twice; with --parallel-jobs, and in any other case, it is fetched into the backups folder first, once.
Exit codes: 0 done, 1 failed or statements were skipped, 2 usage, 3 environment, 4 damaged backup or unequal result, 5 refused, 130 interrupted.`;
  static override examples = [
    {
      description: 'what would happen, and what would be lost',
      command: '<%= config.bin %> restore latest --drop-existing --dry-run',
    },
    {
      description: 'into a new database',
      command: '<%= config.bin %> restore latest --target-db shop_copy --create-db',
    },
    {
      description: 'replace the database, keeping the old one aside',
      command: '<%= config.bin %> restore latest --drop-existing',
    },
  ];
  static override args = backupArgument;
  static override flags = {
    'backup-file': Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PATH',
      summary: 'Backup by ID, dump or metadata file.',
    }),
    latest: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Newest usable backup.',
    }),
    ...atFlag,
    ...placeFlags,
    'target-db': Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'NAME',
      summary: 'Database to restore into (default: that of the URL).',
    }),
    'create-db': Flags.boolean({
      helpGroup: groups.whereTo,
      summary: 'Create the target database, with encoding and locale of the source.',
    }),
    'drop-existing': Flags.boolean({
      helpGroup: groups.whereTo,
      summary:
        'Replace the target: restore beside it, compare, then swap. The old database is kept for undo.',
    }),
    clean: Flags.boolean({
      helpGroup: groups.whereTo,
      summary:
        'Drop the objects of the backup in the target first, in one transaction after a safety backup.',
    }),
    'data-only': Flags.boolean({
      helpGroup: groups.whatToRestore,
      summary: 'Restore rows without definitions, into existing empty tables.',
    }),
    'schema-only': Flags.boolean({
      helpGroup: groups.whatToRestore,
      summary: 'Restore definitions without rows.',
    }),
    'include-table': repeatableFlag(
      'NAME',
      'Table to restore with what it needs, without triggers, policies and grants; * and ? are wildcards (repeatable; default: all).',
      {helpGroup: groups.whatToRestore},
    ),
    'parallel-jobs': countFlag(
      'Number of connections that load a new database (default: as many as cores, at most 4).',
      {
        helpGroup: groups.speed,
        min: 1,
        max: 64,
      },
    ),
    'toast-compression': Flags.option({options: toastCompressions})({
      helpGroup: groups.speed,
      summary:
        'Compression of large values in the restored tables, on PostgreSQL 14 or newer; lz4 loads wide text and JSON faster ' +
        "(default: the server's).",
    }),
    'allow-owner-change': repeatableFlag(
      'NAME',
      'SECURITY DEFINER function or view that may get another owner where its own cannot be kept: schema.name or all (repeatable).',
      {helpGroup: groups.safety},
    ),
    roles: Flags.boolean({
      helpGroup: groups.safety,
      default: true,
      allowNo: true,
      summary:
        "Create the backup's own roles where another server lacks them, without passwords; --no-roles leaves out their rights (default: on).",
    }),
    'with-roles': Flags.boolean({
      helpGroup: groups.safety,
      summary:
        'Create all missing roles that backup --with-roles stored, with passwords if the encrypted backup has them; present roles stay as they are.',
    }),
    'skip-errors': Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Skip statements that fail; list them and the tables that differ because of them.',
    }),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Check everything, print what would happen, and change nothing.',
    }),
    details: Flags.boolean({
      helpGroup: groups.safety,
      summary: 'List the keys of rows that would be lost, in a dry run.',
      dependsOn: ['dry-run'],
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags, args} = await this.parse(Restore);
    const named = namedBackup(args.backup, flags, ['backup-file', 'latest', 'at']);
    const command = (id: string): string[] => [this.config.bin, id, ...sameSettings(flags)];
    const request = defined<RestoreRequest>({
      backupFile: named,
      isLatest: flags.latest,
      at: flags.at === undefined ? undefined : parseEndOf(flags.at),
      targetDb: flags['target-db'],
      createDb: flags['create-db'],
      dropExisting: flags['drop-existing'],
      clean: flags.clean,
      dataOnly: flags['data-only'],
      schemaOnly: flags['schema-only'],
      includeTables: flags['include-table'],
      parallelJobs: flags['parallel-jobs'],
      toastCompression: flags['toast-compression'],
      skipErrors: flags['skip-errors'],
      allowOwnerChange: flags['allow-owner-change'],
      roles: flags.roles,
      withRoles: flags['with-roles'],
      dryRun: flags['dry-run'],
      details: flags.details,
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
      command,
    });
    // The backup that was looked at, not whichever is the newest by then.
    const repeat = (id: string): string => {
      const {bin} = this.config;
      const isChosen = named === undefined || named === 'latest' || id.startsWith(named);
      if (!isChosen) return repeatCommand(bin, 'restore', this.argv, []);
      const others = withoutArgument(this.argv, args.backup, {...Restore.baseFlags, ...Restore.flags});
      const words = [id, ...others.filter((arg) => arg !== '--latest')];
      return repeatCommand(bin, 'restore', words, [], ['--at', '--backup-file']);
    };
    return this.perform(
      flags,
      (context) => restoreFrom(context, sourceOf(flags), request),
      showRestore({
        now: new Date(),
        repeat,
        command,
        isVerbose: flags.verbose,
      }),
      {
        exitCodeOf: ({errors, differences}) => {
          if (differences.length > 0) return exitStatus.integrity;
          return errors.length === 0 ? 0 : exitStatus.failed;
        },
      },
    );
  }
}
