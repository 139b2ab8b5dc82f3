/** The schema of the config file. Every key is optional; unknown keys are errors. The documentation is generated from the descriptions. */
import {z} from 'zod';
import {backupFormats, compressMethods} from '../base/formats.js';
import {durationPattern} from '../base/parse-duration.js';
import {passwordCommandConfig} from './command-password.js';
import {hooksConfig} from './hooks-config.js';
import {maskProgramConfig, masksConfig} from './mask-config.js';
import {verifyConfig} from './checks-config.js';
import {notificationsConfig} from './notifications-config.js';
import {ordersConfig} from './orders-config.js';
import {sshConfig} from './ssh-config.js';
import {encryptionConfig, placesConfig, storageConfig} from './storage-config.js';

const count = z.int().min(0);

const duration = z.string().regex(durationPattern, 'is not a duration such as 90m, 26h, 35d or 2w');

export const retentionConfig = z.strictObject({
  keepDays: count.exactOptional().describe('Keep every backup younger than this many days.'),
  keepWithin: duration
    .exactOptional()
    .describe('Keep every backup of this duration before the newest one, such as 36h.'),
  keepLast: count.exactOptional().describe('Keep the newest N backups.'),
  keepHourly: count
    .exactOptional()
    .describe('Keep the newest backup of each of the last N hours that have one.'),
  keepDaily: count
    .exactOptional()
    .describe('Keep the newest backup of each of the last N days that have one.'),
  keepWeekly: count
    .exactOptional()
    .describe('Keep the newest backup of each of the last N weeks that have one.'),
  keepMonthly: count
    .exactOptional()
    .describe('Keep the newest backup of each of the last N months that have one.'),
  keepYearly: count
    .exactOptional()
    .describe('Keep the newest backup of each of the last N years that have one.'),
  keepLabels: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Keep every backup with one of these labels.'),
  keepMin: z
    .int()
    .min(1)
    .exactOptional()
    .describe('Keep at least this many intact backups of a database, whatever the rules say (default 2).'),
});

const backupConfig = z.strictObject({
  format: z
    .enum(backupFormats)
    .exactOptional()
    .describe('Format of backups when --format is not given (default custom).'),
  compress: z.boolean().exactOptional().describe('Whether backups are compressed (default true).'),
  compressMethod: z
    .enum(compressMethods)
    .exactOptional()
    .describe(
      'Compression method of archives; lz4 and zstd need client tools of PostgreSQL 16 or newer (default: zstd where the tools support it, else gzip).',
    ),
  compressLevel: z
    .int()
    .min(0)
    .max(22)
    .exactOptional()
    .describe('Compression level: gzip up to 9, lz4 12, zstd 22 (default: a fast one by measurement).'),
  parallelJobs: z
    .int()
    .min(1)
    .max(64)
    .exactOptional()
    .describe(
      'Number of tables dumped at the same time, in directory format (default: as many as help, at most 4).',
    ),
  excludeTables: z.array(z.string().min(1)).exactOptional().describe('Tables to exclude (pg_dump patterns).'),
  excludeTableData: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Tables to back up without their rows (pg_dump patterns).'),
  excludeSchemas: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Schemas to exclude (pg_dump patterns).'),
  skipUnchanged: z
    .boolean()
    .exactOptional()
    .describe(
      'Whether a backup of an unchanged database shares the file of the backup before it (default false).',
    ),
  withRoles: z
    .boolean()
    .exactOptional()
    .describe(
      'Whether backups in folders also have the roles of the server, as with --with-roles (default: for a server with include or exclude, without skipUnchanged); then skipUnchanged has no effect.',
    ),
  lockWaitSeconds: z
    .int()
    .min(1)
    .exactOptional()
    .describe('How long a backup waits for locks on tables (default 60).'),
});

const sourceConfig = z.strictObject({
  name: z
    .string()
    .refine((name) => nameProblem(name) === undefined, {error: ({input}) => nameProblem(String(input))})
    .describe('Name for --database, in lists, alerts and the audit log.'),
  urlEnv: z.string().min(1).describe('Environment variable with the URL of the database or server.'),
  directUrlEnv: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Environment variable with the direct URL, which is preferred, as DIRECT_URL is.'),
  include: z
    .array(z.string().min(1))
    .exactOptional()
    .describe(
      'Makes it a server whose databases are looked up at each run: patterns of their names, with * and ? (default: all).',
    ),
  exclude: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Patterns of the names of databases of the server to leave out.'),
  backup: backupConfig.exactOptional().describe('As backup, for this database; keys here win.'),
  retention: retentionConfig.exactOptional().describe('As retention, for this database, instead of it.'),
  places: placesConfig.exactOptional().describe('As storage.places, for this database, instead of it.'),
  ssh: sshConfig.exactOptional().describe('As ssh, for this database, instead of it.'),
  plan: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Sentences of the plan for this database, instead of those of schedule.plan.'),
});

function nameProblem(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.includes('/')) return `"${name}" has a slash, which stands between a server and its database`;
  return /^[^\s,;-][^\s,;]*$/.test(name)
    ? undefined
    : `"${name}" begins with a hyphen or has a space, comma or semicolon`;
}

const sourcesConfig = z.array(sourceConfig).superRefine((sources, context) => {
  sources.forEach(({name}, index) => {
    if (sources.findIndex((other) => other.name === name) < index)
      context.addIssue({
        code: 'custom',
        path: [index, 'name'],
        message: `"${name}" is the name of another database too; rename one of them`,
      });
  });
});

export const configSchema = z.strictObject({
  $schema: z
    .string()
    .exactOptional()
    .describe('Lets editors find the schema of this file; the program ignores it.'),
  backupsDir: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Folder of all backups, relative to the working directory (default "backups").'),
  pgBin: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Folder of pg_dump, pg_restore and psql (default: found to match the server).'),
  ssh: sshConfig
    .exactOptional()
    .describe(
      'SSH server through which the database of the URL, and every one of the config file without an ssh key of its own, is reached.',
    ),
  passwordCommand: passwordCommandConfig
    .exactOptional()
    .describe(
      'Program that prints the password of the database, where neither the URL nor PGPASSWORD has one.',
    ),
  production: z
    .strictObject({
      hosts: z
        .array(z.string())
        .exactOptional()
        .describe(
          'Host names or addresses of production servers. Every spelling of a host and every address that it resolves to count.',
        ),
      databases: z.array(z.string()).exactOptional().describe('Names of production databases.'),
    })
    .exactOptional()
    .describe('Targets that only --confirm-db NAME may change, by host or name.'),
  backup: backupConfig.exactOptional().describe('Defaults of the backup command.'),
  databases: sourcesConfig.exactOptional().describe('Several databases, for --database and --all-databases.'),
  retention: retentionConfig
    .exactOptional()
    .describe('Backups to keep after a successful backup (default: all).'),
  schedule: z
    .strictObject({
      plan: z
        .array(z.string().min(1))
        .exactOptional()
        .describe('Schedule, one sentence per job: "daily custom at 02:00 keep 30 days".'),
      timeZone: z
        .string()
        .min(1)
        .exactOptional()
        .describe(
          'Time zone of the times in the plan, such as "America/Los_Angeles" (default: the zone of the machine).',
        ),
    })
    .exactOptional()
    .describe('The backup plan that `destino-db schedule` prints, installs and checks.'),
  shrinkAlarm: z
    .strictObject({
      maxLossPercent: z
        .number()
        .min(0)
        .max(100)
        .exactOptional()
        .describe("Accepted loss of a table's rows since the last intact backup, in percent (default 50)."),
      minRows: count
        .exactOptional()
        .describe(
          'Smaller tables raise an alarm only if those that became empty had this many rows in total, or if no rows are left anywhere (default 10).',
        ),
    })
    .exactOptional()
    .describe('When a backup counts as suspiciously smaller than the previous one.'),
  metricsFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Prometheus textfile to write after every run that does work.'),
  status: z
    .strictObject({
      maxAge: duration.exactOptional().describe('Maximum age of the newest intact backup (default "26h").'),
      require: z
        .enum(['checksum', 'archive', 'restore'])
        .exactOptional()
        .describe('Count only backups proven to this level (default: every intact backup counts).'),
      maxRestoreTestAge: duration
        .exactOptional()
        .describe(
          'Maximum age of the last passed restore test, such as "35d" (default: no test is required).',
        ),
      databases: z
        .array(z.string().min(1))
        .exactOptional()
        .describe(
          'Databases that must have a backup. Databases in the plan and databases with backups are watched anyway.',
        ),
    })
    .exactOptional()
    .describe('Limits of the status command.'),
  hooks: hooksConfig
    .exactOptional()
    .describe('Programs or SQL files that can stop a run before it changes anything.'),
  verify: verifyConfig.exactOptional().describe('Checks that go beyond the comparison with the dump.'),
  notifications: notificationsConfig.exactOptional().describe('Where runs and stale backups are reported.'),
  storage: storageConfig
    .exactOptional()
    .describe('Locations off this machine, and the connection to an S3 server.'),
  encryption: encryptionConfig
    .exactOptional()
    .describe('Keys that encrypt and decrypt backups (age format).'),
  orders: ordersConfig
    .exactOptional()
    .describe('Which orders orders:clean deletes and which it always keeps.'),
  subset: z
    .record(z.string(), z.string().min(1))
    .exactOptional()
    .describe(
      'Rows of a refreshed database by table ("schema.table"): an SQL condition, "none" or "all". Rows stay that meet it, that they refer to, and that belong to them.',
    ),
  masks: masksConfig
    .exactOptional()
    .describe(
      'Masks by column ("schema.table.column") and tables without rows ("schema.table"), for copies into other environments.',
    ),
  maskProgram: maskProgramConfig
    .exactOptional()
    .describe('Program that masks the columns with {"mask": "program"}: greenmask.'),
  keepDefinitions: z
    .record(z.string(), z.string().trim().min(1))
    .exactOptional()
    .describe(
      'Definitions that look personal and stay in masked copies, with the reason, such as {"FUNCTION public.support()": "address of the shop"}.',
    ),
});

export type Config = z.infer<typeof configSchema>;
