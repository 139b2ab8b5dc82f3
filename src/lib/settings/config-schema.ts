/** The shape of the config file. Every key is optional; unknown keys are errors. Descriptions become its documentation. */
import {z} from 'zod';
import {backupFormats} from '../base/formats.js';
import {durationPattern} from '../base/parse-duration.js';
import {notificationsConfig} from './notifications-config.js';
import {ordersConfig} from './orders-config.js';
import {encryptionConfig, storageConfig} from './storage-config.js';

/** Of pg_dump, by its own names. */
export const compressMethods = ['gzip', 'lz4', 'zstd'] as const;
export type CompressMethod = (typeof compressMethods)[number];

const count = z.int().min(0);

const duration = z.string().regex(durationPattern, 'is no duration, as 90m, 26h, 35d or 2w are');

export const retentionConfig = z.strictObject({
  keepDays: count.optional().describe('Keep every backup younger than this many days.'),
  keepLast: count.optional().describe('Keep the newest N backups.'),
  keepDaily: count.optional().describe('Keep the newest backup of each of the last N days that have one.'),
  keepWeekly: count.optional().describe('Keep the newest backup of each of the last N weeks that have one.'),
  keepMonthly: count
    .optional()
    .describe('Keep the newest backup of each of the last N months that have one.'),
  keepYearly: count.optional().describe('Keep the newest backup of each of the last N years that have one.'),
  keepLabels: z.array(z.string().min(1)).optional().describe('Keep every backup with one of these labels.'),
  keepMin: z
    .int()
    .min(1)
    .optional()
    .describe('Never fewer good backups of a database than this, whatever the rules say (default 2).'),
});

export const configSchema = z.strictObject({
  $schema: z
    .string()
    .optional()
    .describe('Lets editors find the schema of this file; the program ignores it.'),
  backupsDir: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of all backups, relative to the working directory; "backups" without it.'),
  pgBin: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of pg_dump, pg_restore and psql; without it those that fit the server are found.'),
  production: z
    .strictObject({
      hosts: z
        .array(z.string())
        .optional()
        .describe(
          'Host names or addresses of production servers; every spelling of a host and every address that it resolves to count.',
        ),
      databases: z.array(z.string()).optional().describe('Names of production databases.'),
    })
    .optional()
    .describe('What only --confirm-db NAME may change: a target with one of these hosts or names.'),
  backup: z
    .strictObject({
      format: z
        .enum(backupFormats)
        .optional()
        .describe('Format of backups when --format is not given; custom without it.'),
      compress: z.boolean().optional().describe('Whether backups are compressed (default true).'),
      compressMethod: z
        .enum(compressMethods)
        .optional()
        .describe(
          'How archives are compressed; lz4 and zstd take client tools of PostgreSQL 16 or newer. Without it zstd where they know it, else gzip.',
        ),
      compressLevel: z
        .int()
        .min(0)
        .max(22)
        .optional()
        .describe(
          'Compression level (gzip up to 9, lz4 12, zstd 22); without it one that was measured to be quick.',
        ),
      parallelJobs: z
        .int()
        .min(1)
        .max(64)
        .optional()
        .describe(
          'How many tables are dumped at a time, in directory format; without it as many as gain time, 4 at most.',
        ),
      excludeTables: z
        .array(z.string().min(1))
        .optional()
        .describe('Tables to leave out (pg_dump patterns).'),
      excludeSchemas: z
        .array(z.string().min(1))
        .optional()
        .describe('Schemas to leave out (pg_dump patterns).'),
      lockWaitSeconds: z
        .int()
        .min(1)
        .optional()
        .describe('How long a backup waits for locks on tables (default 60).'),
    })
    .optional()
    .describe('Defaults of the backup command.'),
  retention: retentionConfig
    .optional()
    .describe('Which backups stay after a successful backup; without any rule all do.'),
  schedule: z
    .strictObject({
      plan: z
        .array(z.string().min(1))
        .optional()
        .describe('When what runs, a sentence each: "daily custom at 02:00 keep 30 days".'),
      timeZone: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Time zone of the times in the plan ("America/Los_Angeles"); without it the zone of the machine.',
        ),
    })
    .optional()
    .describe('The backup plan that `destino-db schedule` prints, installs and checks.'),
  shrinkAlarm: z
    .strictObject({
      maxLossPercent: z
        .number()
        .min(0)
        .max(100)
        .optional()
        .describe(
          "Loss of a table's rows since the last good backup that is still taken for normal, in percent (default 50).",
        ),
      minRows: count
        .optional()
        .describe(
          'Tables with fewer rows count only when so many rows of them are gone that they are empty, all of them together, or when nothing is left (default 10).',
        ),
    })
    .optional()
    .describe('When a backup counts as suspiciously smaller than the one before.'),
  metricsFile: z
    .string()
    .min(1)
    .optional()
    .describe('Prometheus textfile to write after every run that does work.'),
  status: z
    .strictObject({
      maxAge: duration.optional().describe('How old the newest good backup may be (default "26h").'),
      require: z
        .enum(['checksum', 'archive', 'restore'])
        .optional()
        .describe('Count only backups proven at least so far; without it every good one counts.'),
      maxRestoreTestAge: duration
        .optional()
        .describe('How old the last restore test that held may be: "35d"; without it no test is asked for.'),
      databases: z
        .array(z.string().min(1))
        .optional()
        .describe(
          'Databases that must have a backup; those of the plan, and those that have one, are watched without being named.',
        ),
    })
    .optional()
    .describe('Limits of the status command.'),
  notifications: notificationsConfig.optional().describe('Who is told about runs and stale backups.'),
  storage: storageConfig.optional().describe('Places off this machine, and how an S3 server is reached.'),
  encryption: encryptionConfig
    .optional()
    .describe('Whom backups are encrypted to (age format), and what opens them.'),
  orders: ordersConfig.optional().describe('What orders:clean deletes and what it never does.'),
});

export type Config = z.infer<typeof configSchema>;
