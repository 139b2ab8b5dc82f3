/** The shape of the config file. Every key is optional; unknown keys are errors. */
import {z} from 'zod';

export const backupFormats = ['custom', 'sql', 'directory'] as const;
export type BackupFormat = (typeof backupFormats)[number];

const count = z.int().min(0);

export const retentionConfig = z.strictObject({
  keepDays: count.optional(),
  keepLast: count.optional(),
  keepDaily: count.optional(),
  keepWeekly: count.optional(),
  keepMonthly: count.optional(),
  keepYearly: count.optional(),
  keepLabels: z.array(z.string().min(1)).optional(),
  keepMin: z.int().min(1).optional(),
});

export const configSchema = z.strictObject({
  /** Lets editors find a JSON schema; ignored. */
  $schema: z.string().optional(),
  backupsDir: z.string().min(1).optional(),
  pgBin: z.string().min(1).optional(),
  production: z
    .strictObject({hosts: z.array(z.string()).optional(), databases: z.array(z.string()).optional()})
    .optional(),
  backup: z
    .strictObject({
      format: z.enum(backupFormats).optional(),
      compress: z.boolean().optional(),
      compressLevel: z.int().min(0).max(22).optional(),
      parallelJobs: z.int().min(1).max(64).optional(),
      excludeTables: z.array(z.string().min(1)).optional(),
      excludeSchemas: z.array(z.string().min(1)).optional(),
      lockWaitSeconds: z.int().min(1).optional(),
    })
    .optional(),
  retention: retentionConfig.optional(),
});

export type Config = z.infer<typeof configSchema>;
