/** destino-db backup */
import {resolve} from 'node:path';
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  countFlag,
  encryptFlags,
  encryptionFlagsOf,
  repeatableFlag,
  sameSettings,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand} from '../lib/cli/repeat-command.js';
import {showBackup} from '../lib/cli/show/show-backup.js';
import {backupToPlaces, type CopiedBackupResult} from '../lib/services/backup/backup.js';
import {backupFormats} from '../lib/base/formats.js';
import {compressMethods} from '../lib/settings/config-schema.js';

export default class Backup extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'make a verified backup of one database';
  static override description =
    'Dumps with pg_dump, reads every byte back, and names the backup only when all of it is good.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage, 3 environment, 4 damaged or shrunk, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> backup',
    '<%= config.bin %> backup --format directory --parallel-jobs 4 --label before-release',
    '<%= config.bin %> backup --quiet --retention-days 30',
    '<%= config.bin %> backup --to s3://bucket/db --encrypt-to age1...',
  ];
  static override flags = {
    format: Flags.option({options: backupFormats})({
      helpGroup: 'FORM',
      summary: 'Form of the dump (default custom).',
    }),
    compress: Flags.boolean({helpGroup: 'FORM', allowNo: true, summary: 'Compress (the default).'}),
    'compress-method': Flags.option({options: compressMethods})({
      helpGroup: 'FORM',
      summary: 'How; zstd and lz4 take tools of PostgreSQL 16 or newer.',
    }),
    'compress-level': countFlag('Level; 0 is none, gzip has 9, lz4 12, zstd 22.', {
      helpGroup: 'FORM',
      min: 0,
      max: 22,
    }),
    'parallel-jobs': countFlag('Tables dumped side by side; directory format only.', {
      helpGroup: 'FORM',
      min: 1,
      max: 64,
    }),
    'schema-only': Flags.boolean({
      helpGroup: 'CONTENT',
      summary: 'Definitions without rows.',
      exclusive: ['data-only'],
    }),
    'data-only': Flags.boolean({helpGroup: 'CONTENT', summary: 'Rows without definitions.'}),
    'include-table': repeatableFlag('PATTERN', 'Only these tables (repeatable).', {helpGroup: 'CONTENT'}),
    'exclude-table': repeatableFlag('PATTERN', 'Not these tables (repeatable).', {helpGroup: 'CONTENT'}),
    'include-schema': repeatableFlag('PATTERN', 'Only these schemas (repeatable).', {helpGroup: 'CONTENT'}),
    'exclude-schema': repeatableFlag('PATTERN', 'Not these schemas (repeatable).', {helpGroup: 'CONTENT'}),
    preset: Flags.option({options: ['supabase', 'none'] as const})({
      helpGroup: 'CONTENT',
      hidden: true,
      summary: 'Obsolete: a backup contains everything that the role may read.',
    }),
    'with-roles': Flags.boolean({
      helpGroup: 'CONTENT',
      summary:
        "Also write all roles of the cluster as a file for psql, without passwords; the database's own are in the metadata anyway.",
    }),
    verify: Flags.boolean({
      helpGroup: 'SAFETY',
      allowNo: true,
      summary: 'Read every byte back (the default).',
    }),
    fingerprint: Flags.boolean({
      helpGroup: 'SAFETY',
      allowNo: true,
      summary: "Hash every table's rows while verifying (the default).",
    }),
    'output-dir': Flags.string({
      helpGroup: 'PLACE',
      helpValue: 'DIR',
      summary: 'Where to write instead of BACKUPS-DIR/database.',
    }),
    label: Flags.string({helpGroup: 'PLACE', helpValue: 'TEXT', summary: 'A word to find the backup by.'}),
    'retention-days': countFlag('Afterwards remove backups older than this, by the rules of prune.', {
      helpGroup: 'SAFETY',
      min: 1,
    }),
    'accept-shrink': Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'Take a loss of rows against the last backup as intended.',
    }),
    to: repeatableFlag('PLACE', 'Also copy the backup there: s3://bucket/prefix or a folder (repeatable).', {
      helpGroup: 'PLACE',
    }),
    local: Flags.boolean({
      helpGroup: 'PLACE',
      allowNo: true,
      default: true,
      summary:
        'With --no-local, stream the dump to the bucket of --to; nothing of it lies here (custom, sql).',
    }),
    ...encryptFlags,
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Say what would be dumped, and write nothing.',
    }),
    ...waitFlag,
  };

  async run(): Promise<CopiedBackupResult> {
    const {flags} = await this.parse(Backup);
    const {bin} = this.config;
    const folder = flags['output-dir'];
    const place = folder === undefined ? [] : ['--from', resolve(folder)];
    return this.perform(
      flags,
      (context) =>
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
            includeSchemas: flags['include-schema'],
            excludeSchemas: flags['exclude-schema'],
            preset: flags.preset,
            withRoles: flags['with-roles'],
            verify: flags.verify,
            fingerprint: flags.fingerprint,
            outputDir: flags['output-dir'],
            label: flags.label,
            retentionDays: flags['retention-days'],
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
        ),
      showBackup(repeatCommand(bin, 'backup', this.argv, []), [
        bin,
        'verify',
        ...sameSettings(flags),
        ...place,
      ]),
      {exitCodeOf: (result) => (result.shrink.length > 0 ? 4 : 0)},
    );
  }
}
