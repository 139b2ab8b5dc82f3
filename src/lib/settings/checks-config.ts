/** The config section about data checks: queries about a restored database. */
import {z} from 'zod';

const dataCheck = z.strictObject({
  name: z.string().min(1).max(100).describe('Name of the check in results, status and alerts.'),
  sql: z
    .string()
    .min(1)
    .refine((sql) => !sql.includes('\0'), {error: 'contains a NUL'})
    .describe(
      "One query, run read-only with an empty search_path: name tables with their schema. current_setting('destino.backup_time') is the time of the backup.",
    ),
  expect: z
    .union([
      z.enum(['true', 'no rows']),
      z.strictObject({
        atLeast: z.number().describe('The query returns one number, which is not smaller than this one.'),
      }),
    ])
    .describe('Expected result: one row with true, no rows, or one number that is large enough.'),
  databases: z
    .array(z.string().min(1))
    .min(1)
    .exactOptional()
    .describe('Databases that the check is for, by name (default: all).'),
});
export type DataCheckConfig = z.infer<typeof dataCheck>;

export const verifyConfig = z.strictObject({
  checks: z
    .array(dataCheck)
    .refine((checks) => new Set(checks.map(({name}) => name)).size === checks.length, {
      error: 'two checks have the same name',
    })
    .exactOptional()
    .describe('Queries that every restore test runs in the restored database, as does verify --checks-live.'),
  checkTimeoutSeconds: z
    .int()
    .min(1)
    .max(86_400)
    .exactOptional()
    .describe('Time limit for each query of verify.checks (default 60).'),
});
