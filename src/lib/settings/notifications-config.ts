/** The config section about notifications. */
import {z} from 'zod';
import {commandProblem} from '../base/recorded-commands.js';

export const noticeEvents = ['start', 'success', 'failure', 'alarm', 'stale'] as const;
export type NoticeEvent = (typeof noticeEvents)[number];

const common = {
  name: z.string().min(1).exactOptional().describe('Name of the target in warnings.'),
  on: z
    .array(z.enum(noticeEvents))
    .exactOptional()
    .describe(
      'Events to report: start, success, failure, alarm (a backup that shrank, or another result with exit code 4), stale (status --notify found a problem).',
    ),
  commands: z
    .array(
      z.string().refine((command) => commandProblem(command) === undefined, {
        error: ({input}) => commandProblem(String(input)),
      }),
    )
    .exactOptional()
    .describe('Commands whose runs are reported (default: backup for a ping, all for other types).'),
};

const address = {
  url: z
    .url({protocol: /^https?$/})
    .exactOptional()
    .describe('Address of the target; use urlEnv if it contains a token.'),
  urlEnv: z.string().min(1).exactOptional().describe('Environment variable with the address.'),
};

const mail = z.strictObject({
  type: z.literal('mail'),
  host: z.string().min(1).describe('Name of the mail server; its certificate must have this name.'),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .exactOptional()
    .describe('Port of the mail server (default: 587 for starttls, 465 for tls, 25 for none).'),
  security: z
    .enum(['starttls', 'tls', 'none'])
    .exactOptional()
    .describe(
      'Encryption, which is required: after the greeting (starttls, the default), from the start (tls), or none, without a user.',
    ),
  user: z.string().min(1).exactOptional().describe('User at the mail server (default: no login).'),
  passwordEnv: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Environment variable with the password of the user.'),
  caFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Certificate authority of the mail server (PEM; default: those of Node.js).'),
  from: z.string().min(3).describe('Address of the sender.'),
  to: z.array(z.string().min(3)).min(1).describe('Addresses of the receivers.'),
  ...common,
});
export type MailTarget = z.infer<typeof mail>;

const target = z
  .discriminatedUnion('type', [
    z.strictObject({type: z.literal('ping').describe('Kind of target.'), ...address, ...common}),
    z.strictObject({
      type: z.literal('webhook'),
      ...address,
      template: z
        .record(z.string(), z.unknown())
        .exactOptional()
        .describe('JSON to send instead of Slack\'s {"text"}; {{fact}} in texts is replaced.'),
      ...common,
    }),
    z.strictObject({
      type: z.literal('command'),
      argv: z.array(z.string()).min(1).describe('Program and arguments, run without a shell.'),
      ...common,
    }),
    mail,
  ])
  .refine(
    (given) =>
      !('url' in given || 'urlEnv' in given || ['ping', 'webhook'].includes(given.type)) ||
      'url' in given !== 'urlEnv' in given,
    {
      error: 'needs either url or urlEnv',
    },
  )
  .refine(
    (given) => given.type !== 'mail' || (given.user === undefined) === (given.passwordEnv === undefined),
    {
      error: 'user and passwordEnv go together',
    },
  )
  .refine((given) => given.type !== 'mail' || given.user === undefined || given.security !== 'none', {
    error: 'security none would send the password unencrypted',
  });
export type NoticeTarget = z.infer<typeof target>;

export const notificationsConfig = z.strictObject({
  timeoutSeconds: z
    .number()
    .min(0.1)
    .max(60)
    .exactOptional()
    .describe('Time limit for a target, retries included (default 10).'),
  targets: z.array(target).describe('Receivers of notifications.'),
});
export type NotificationsConfig = z.infer<typeof notificationsConfig>;
