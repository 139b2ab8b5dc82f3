/** The config section about hooks: programs or SQL files that can stop a run before it changes anything. */
import {z} from 'zod';

const timeoutSeconds = z
  .int()
  .min(1)
  .max(86_400)
  .exactOptional()
  .describe('Time limit; the hook is ended and the run stops (default 60).');

const hook = z.union([
  z.strictObject({
    argv: z
      .array(z.string())
      .min(1)
      .describe(
        'Program and arguments, run without a shell. PGHOST, PGDATABASE and others name the database.',
      ),
    timeoutSeconds,
  }),
  z.strictObject({
    sqlFile: z
      .string()
      .min(1)
      .describe(
        'File of SQL statements, run in one transaction with an empty search_path; relative to the working directory.',
      ),
    timeoutSeconds,
  }),
]);
export type HookConfig = z.infer<typeof hook>;

export const hooksConfig = z.strictObject({
  beforeDump: hook
    .exactOptional()
    .describe('Hook before a backup is dumped, on its database. If it fails, no backup is made.'),
  beforeSwap: hook
    .exactOptional()
    .describe(
      'Hook of restore --drop-existing before the names are swapped, on the new database. If it fails, the old database remains unchanged.',
    ),
});
export type HookName = keyof z.infer<typeof hooksConfig>;
