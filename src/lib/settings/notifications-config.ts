/** The config's section on who is told about runs. */
import {z} from 'zod';
import {commandProblem} from '../base/recorded-commands.js';

export const noticeEvents = ['start', 'success', 'failure', 'alarm', 'stale'] as const;
export type NoticeEvent = (typeof noticeEvents)[number];

const common = {
  name: z.string().min(1).optional().describe('Name of the target in warnings.'),
  on: z
    .array(z.enum(noticeEvents))
    .optional()
    .describe(
      'Events to tell: start, success, failure, alarm (a backup that shrank, or another result with exit code 4), stale (status --notify found something).',
    ),
  commands: z
    .array(
      z.string().refine((command) => commandProblem(command) === undefined, {
        error: ({input}) => commandProblem(String(input)),
      }),
    )
    .optional()
    .describe('Runs of which commands to tell about; for a ping backup alone by default, else all.'),
};

const address = {
  url: z
    .url({protocol: /^https?$/})
    .optional()
    .describe('Address of the target; better in urlEnv when it holds a token.'),
  urlEnv: z.string().min(1).optional().describe('Environment variable that holds the address.'),
};

const target = z
  .discriminatedUnion('type', [
    z.strictObject({type: z.literal('ping').describe('Kind of target.'), ...address, ...common}),
    z.strictObject({
      type: z.literal('webhook'),
      ...address,
      template: z
        .record(z.string(), z.unknown())
        .optional()
        .describe('JSON to send instead of Slack\'s {"text"}; {{fact}} in its texts is replaced.'),
      ...common,
    }),
    z.strictObject({
      type: z.literal('command'),
      argv: z.array(z.string()).min(1).describe('Program and arguments; no shell reads them.'),
      ...common,
    }),
  ])
  .refine((given) => given.type === 'command' || (given.url === undefined) !== (given.urlEnv === undefined), {
    error: 'needs either url or urlEnv',
  });
export type NoticeTarget = z.infer<typeof target>;

export const notificationsConfig = z.strictObject({
  timeoutSeconds: z
    .number()
    .min(0.1)
    .max(60)
    .optional()
    .describe('How long a target may take, retries included (default 10).'),
  targets: z.array(target).describe('Who is told.'),
});
export type NotificationsConfig = z.infer<typeof notificationsConfig>;
