/** destino-db backup */
import {resolve} from 'node:path';
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand, isOverSeveral} from '../lib/cli/base-command.js';
import {
  countFlag,
  databaseFlags,
  encryptFlags,
  encryptionFlagsOf,
  groups,
  repeatableFlag,
  sameSettings,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand} from '../lib/cli/repeat-command.js';
import type {SeveralResult} from '../lib/cli/show/show-several.js';
import {severalBackups, showBackup} from '../lib/cli/show/show-backup.js';
import {backupToPlaces, type CopiedBackupResult} from '../lib/services/backup/backup.js';
import {backupFormats, compressMethods} from '../lib/base/formats.js';
import type {RunContext} from '../lib/run/run-context.js';

export default class Backup extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'make a verified backup of one database';
  static override description =
    'Runs pg_dump, reads every byte back, and gives the backup its name only when all of it is intact.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage, 3 environment, 4 damaged or shrunk, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> backup',
    '<%= config.bin %> backup --format directory --parallel-jobs 4 --label before-release',
    '<%= config.bin %> backup --to s3://bucket/db --encrypt-to age1...',
    '<%= config.bin %> backup --all-databases --quiet --retention-days 30',
  ];
  static override flags = {
    ...databaseFlags,
    format: Flags.option({options: backupFormats})({
      helpGroup: groups.format,
      summary: 'Format of the dump (default: custom).',
    }),
    compress: Flags.boolean({
      helpGroup: groups.format,
      allowNo: true,
      summary: 'Compress the dump (default: on).',
    }),
    'compress-method': Flags.option({options: compressMethods})({
      helpGroup: groups.format,
      summary: 'Compression method (default: zstd where the client tools are 16 or newer, else gzip).',
    }),
    'compress-level': countFlag(
      'Compression level, 0 for none, up to 9 for gzip, 12 for lz4, 22 for zstd (default: a quick one).',
      {
        helpGroup: groups.format,
        min: 0,
        max: 22,
      },
    ),
    'parallel-jobs': countFlag(
      'Number of tables dumped at a time, in directory format (default: as many as cores, at most 4).',
      {
        helpGroup: groups.format,
        min: 1,
        max: 64,
      },
    ),
    'schema-only': Flags.boolean({
      helpGroup: groups.whatToBackUp,
      summary: 'Back up definitions without rows.',
      exclusive: ['data-only'],
    }),
    'data-only': Flags.boolean({
      helpGroup: groups.whatToBackUp,
      summary: 'Back up rows without definitions.',
    }),
    'include-table': repeatableFlag(
      'PATTERN',
      'Tables to back up, as a pattern of pg_dump (repeatable; default: all).',
      {helpGroup: groups.whatToBackUp},
    ),
    'exclude-table': repeatableFlag('PATTERN', 'Tables to leave out (repeatable).', {
      helpGroup: groups.whatToBackUp,
    }),
    'exclude-table-data': repeatableFlag('PATTERN', 'Tables to back up without their rows (repeatable).', {
      helpGroup: groups.whatToBackUp,
    }),
    'include-schema': repeatableFlag(
      'PATTERN',
      'Schemas to back up, as a pattern of pg_dump (repeatable; default: all).',
      {helpGroup: groups.whatToBackUp},
    ),
    'exclude-schema': repeatableFlag('PATTERN', 'Schemas to leave out (repeatable).', {
      helpGroup: groups.whatToBackUp,
    }),
    preset: Flags.option({options: ['supabase', 'none'] as const})({
      helpGroup: groups.whatToBackUp,
      hidden: true,
      summary: 'Obsolete: a backup contains everything that the role may read.',
    }),
    'with-roles': Flags.boolean({
      helpGroup: groups.whatToBackUp,
      allowNo: true,
      summary:
        "Store all roles of the server too, with passwords only if encrypted and readable (default: for servers of the config file; else the database's own roles, in the metadata).",
    }),
    verify: Flags.boolean({
      helpGroup: groups.safety,
      allowNo: true,
      summary: 'Read every byte of the new backup (default: on).',
    }),
    fingerprint: Flags.boolean({
      helpGroup: groups.safety,
      allowNo: true,
      summary: 'Hash the rows of every table while verifying (default: on).',
    }),
    'output-dir': Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'DIR',
      summary: 'Folder to write to (default: "database" in the backups folder).',
    }),
    label: Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'TEXT',
      summary: 'Label to find the backup by.',
    }),
    'retention-days': countFlag(
      'Remove backups older than N days afterwards, by the rules of prune (default: the policy of the config file, if any).',
      {
        helpGroup: groups.safety,
        min: 1,
      },
    ),
    'skip-unchanged': Flags.boolean({
      helpGroup: groups.safety,
      allowNo: true,
      summary:
        'Store a backup only once while the database is unchanged: it shares the file of the backup before it (default: off).',
    }),
    'accept-shrink': Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Accept that tables have fewer rows than in the previous backup.',
    }),
    to: repeatableFlag(
      'PLACE',
      'Location to copy the backup to: s3://bucket/prefix or a folder (repeatable; default: the locations of the config file).',
      {
        helpGroup: groups.whereTo,
      },
    ),
    local: Flags.boolean({
      helpGroup: groups.whereTo,
      allowNo: true,
      default: true,
      summary:
        'Keep the backup on this machine; --no-local streams it straight to the bucket of --to, in custom and sql format (default: on).',
    }),
    ...encryptFlags,
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Print what would be dumped, and write nothing.',
    }),
    ...waitFlag,
  };

  async run(): Promise<CopiedBackupResult | SeveralResult<CopiedBackupResult>> {
    const {flags} = await this.parse(Backup);
    const {bin} = this.config;
    const folder = flags['output-dir'];
    const place = folder === undefined ? [] : ['--from', resolve(folder)];
    const work = (context: RunContext) =>
      backupToPlaces(
        context,
        defined({
          format: flags.format,
          compress: flags.compress,
          compressMethod: flags['compress-method'],
          compressLevel: flags['compress-level'],
          parallelJobs: flags['parallel-jobs'],
          schemaOnly: flags['schema-only'],
          dataOnly: flags['data-only'],
          includeTables: flags['include-table'],
          excludeTables: flags['exclude-table'],
          excludeTableData: flags['exclude-table-data'],
          includeSchemas: flags['include-schema'],
          excludeSchemas: flags['exclude-schema'],
          preset: flags.preset,
          withRoles: flags['with-roles'],
          verify: flags.verify,
          fingerprint: flags.fingerprint,
          outputDir: flags['output-dir'],
          label: flags.label,
          retentionDays: flags['retention-days'],
          skipUnchanged: flags['skip-unchanged'],
          acceptShrink: flags['accept-shrink'],
          dryRun: flags['dry-run'],
          waitMs: waitMsOf(flags),
        }),
        defined({
          ...encryptionFlagsOf(flags),
          to: flags.to,
          isLocal: flags.local,
          isLocalEncrypted: flags['encrypt-local'],
        }),
      );
    const exitCodeOf = (result: CopiedBackupResult) => (result.shrink.length > 0 ? 4 : 0);
    if (isOverSeveral(flags))
      return this.performEach(flags, work, severalBackups, {exitCodeOf, isLookedUp: true});
    return this.perform(
      flags,
      work,
      showBackup(repeatCommand(bin, 'backup', this.argv, []), [
        bin,
        'verify',
        ...sameSettings(flags),
        ...place,
      ]),
      {exitCodeOf},
    );
  }
}
