/** destino-db restore */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  confirmFlags,
  countFlag,
  lockWaitFlag,
  lockWaitMsOf,
  placeFlags,
  repeatableFlag,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand} from '../lib/cli/repeat-command.js';
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
  static override description = `The backup is read whole and compared with its checksums before the target is touched, and the target is
compared with the backup afterwards. A database that holds something is refused unless --clean or --drop-existing is given.
A custom or sql backup goes from a bucket (--from) straight into a database of its own (--create-db, --drop-existing) and is
read twice; with --parallel-jobs, and in any other case, it is fetched into the backups folder first, once.
Exit codes: 0 done, 1 failed or statements were skipped, 2 usage, 3 environment, 4 damaged backup or unequal result, 5 refused, 130 interrupted.`;
  static override examples = [
    {
      description: 'what would happen, and what would be lost',
      command: '<%= config.bin %> restore --latest --drop-existing --dry-run',
    },
    {
      description: 'into a new database',
      command: '<%= config.bin %> restore --latest --target-db shop_copy --create-db',
    },
    {
      description: 'replace the database, keeping the old one aside',
      command: '<%= config.bin %> restore --latest --drop-existing',
    },
  ];
  static override flags = {
    'backup-file': Flags.string({
      helpGroup: 'SOURCE',
      helpValue: 'PATH',
      summary: 'Dump, metadata file or id of the backup.',
    }),
    latest: Flags.boolean({helpGroup: 'SOURCE', summary: 'The newest good backup.'}),
    at: Flags.string({
      helpGroup: 'SOURCE',
      helpValue: 'TIME',
      summary:
        'The newest good backup taken at or before TIME (ISO 8601, or as list shows it; UTC without a zone).',
    }),
    ...placeFlags,
    'target-db': Flags.string({
      helpGroup: 'TARGET',
      helpValue: 'NAME',
      summary: "Target database instead of the URL's.",
    }),
    'create-db': Flags.boolean({
      helpGroup: 'TARGET',
      summary: 'Make the target database, with encoding and locale of the source.',
    }),
    'drop-existing': Flags.boolean({
      helpGroup: 'TARGET',
      summary:
        'Restore beside the target, compare, then swap; the old database is kept aside (undo brings it back).',
    }),
    clean: Flags.boolean({
      helpGroup: 'TARGET',
      summary: 'Drop the objects of the backup in the target first; one transaction, after a safety backup.',
    }),
    'data-only': Flags.boolean({
      helpGroup: 'CONTENT',
      summary: 'Rows only, into empty tables that exist, in the order of their foreign keys.',
    }),
    'schema-only': Flags.boolean({helpGroup: 'CONTENT', summary: 'No rows.'}),
    'include-table': repeatableFlag(
      'T',
      'Only this table and what it needs, without triggers, policies or grants (repeatable; schema.name, * and ? as wildcards).',
      {helpGroup: 'CONTENT'},
    ),
    'parallel-jobs': countFlag('Connections that load side by side into a fresh database.', {
      helpGroup: 'SPEED',
      min: 1,
      max: 64,
    }),
    'toast-compression': Flags.option({options: toastCompressions})({
      helpGroup: 'SPEED',
      summary:
        'How the server packs large values of the restored tables (PostgreSQL 14 or newer). lz4 loads wide text and JSON ' +
        "much faster than the server's usual pglz and needs a little more room; narrow tables gain nothing.",
    }),
    'allow-owner-change': repeatableFlag(
      'NAME',
      'Let this SECURITY DEFINER function or view run with the rights of another owner where its own cannot be kept (repeatable; schema.name, or all).',
      {helpGroup: 'SAFETY'},
    ),
    roles: Flags.boolean({
      helpGroup: 'SAFETY',
      default: true,
      allowNo: true,
      summary:
        "Into another server, first make the backup's own roles that it lacks, without passwords (default); --no-roles leaves out what they own and may do.",
    }),
    'skip-errors': Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'Skip statements that fail, list them and the tables that differ for it, and keep the rest.',
    }),
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Check everything and say what would happen; change nothing.',
    }),
    details: Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'With --dry-run: list the keys of the rows that would be lost.',
      dependsOn: ['dry-run'],
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags} = await this.parse(Restore);
    const request = defined<RestoreRequest>({
      backupFile: flags['backup-file'],
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
      dryRun: flags['dry-run'],
      details: flags.details,
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
    });
    // The backup that was looked at, not whichever is the newest by then.
    const repeat = (id: string): string =>
      flags['backup-file'] === undefined || flags['backup-file'] === 'latest'
        ? repeatCommand(
            this.config.bin,
            'restore',
            this.argv.filter((arg) => arg !== '--latest'),
            ['--backup-file', id],
            ['--at', '--backup-file'],
          )
        : repeatCommand(this.config.bin, 'restore', this.argv, []);
    return this.perform(
      flags,
      (context) => restoreFrom(context, sourceOf(flags), request),
      showRestore(new Date(), repeat, (id) => [this.config.bin, id, ...sameSettings(flags)]),
      {
        exitCodeOf: ({errors, differences}) => {
          if (differences.length > 0) return exitStatus.integrity;
          return errors.length === 0 ? 0 : exitStatus.failed;
        },
      },
    );
  }
}
