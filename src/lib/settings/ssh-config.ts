/** The config key for a database that is reached through an SSH server. */
import {z} from 'zod';

export const sshConfig = z.strictObject({
  host: z
    .string()
    .regex(/^[^-\s][^\s]*$/, 'is not a host name')
    .describe('SSH server from which the host of the URL is reached, or a Host of ~/.ssh/config.'),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .exactOptional()
    .describe('Port of the SSH server (default: as ssh decides).'),
  user: z
    .string()
    .regex(/^[^-\s@][^\s@]*$/, 'is not a user name')
    .exactOptional()
    .describe('User at the SSH server (default: as ssh decides).'),
  identityFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe(
      'File with the private key, without a passphrase or known to the agent (default: as ssh decides).',
    ),
  knownHostsFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe('File with the host key of the SSH server (default: ~/.ssh/known_hosts).'),
  timeoutSeconds: z
    .int()
    .min(1)
    .max(600)
    .exactOptional()
    .describe('Time limit for the connection to the SSH server and the login (default 20).'),
});
export type SshConfig = z.infer<typeof sshConfig>;

/** A forwarded port on this machine, for the life of the program. */
export interface SshTunnel {
  /** The SSH server, as the config file names it. */
  readonly host: string;
  /** The local port that leads to the database server. @throws SSH_FAILED before `open`, and when ssh has ended */
  port(target: ForwardedServer): number;
  /** Starts ssh once for each server. @throws SSH_NOT_FOUND, SSH_TIMEOUT, SSH_HOST_KEY_CHANGED, SSH_HOST_UNKNOWN, SSH_KEY_REFUSED, ... */
  open(target: ForwardedServer): Promise<number>;
  /** Ends ssh. */
  close(): Promise<void>;
  /** Passwords that sessions used, by role and server: the password file names the server, and client tools see a local port. */
  readonly passwords: Map<string, string>;
}

export interface ForwardedServer {
  readonly host: string;
  readonly port: number;
  /** libpq's keywords; `hostaddr` is the address that is used. */
  readonly options?: Readonly<Record<string, string>>;
}
