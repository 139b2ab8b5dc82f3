/** The config key for a command that prints the password of the database, and the password for the life of the program. */
import {z} from 'zod';

export const passwordCommandConfig = z.strictObject({
  argv: z
    .array(z.string())
    .min(1)
    .describe('Program and arguments, run without a shell. The first line that it prints is the password.'),
  env: z
    .array(z.string().min(1))
    .exactOptional()
    .describe(
      'Environment variables that the program gets in addition to PATH and HOME, such as AWS_PROFILE.',
    ),
  timeoutSeconds: z
    .int()
    .min(1)
    .max(600)
    .exactOptional()
    .describe('Time limit; the program is ended and the run fails (default 30).'),
});
export type PasswordCommandConfig = z.infer<typeof passwordCommandConfig>;

export interface CommandPassword {
  /** The password that was printed last. */
  latest(): string | undefined;
  /** Runs the command, unless it ran a moment ago. @throws PASSWORD_COMMAND_FAILED, PASSWORD_COMMAND_TIMEOUT */
  refresh(): Promise<void>;
}
