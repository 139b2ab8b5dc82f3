/** The `orders` section of the config file: what an order is, what marks a test, and what is never deleted. */
import {z} from 'zod';

const name = z.string().min(1);
const columns = z.union([name, z.array(name).min(1)]);
const statuses = z.array(name).min(1).optional();
const word = z.string().regex(/^[a-z0-9]+$/i, 'a word has letters and digits only');

const rootConfig = z.strictObject({
  schema: name.optional().describe('Schema of the table; "public" without it.'),
  table: name.describe('A table whose rows are orders.'),
  key: columns.optional().describe('Column or columns of the primary key; "id" without it.'),
  email: name.optional().describe("Column of the customer's e-mail address."),
  status: name.optional().describe('Column of the order status.'),
  paymentStatus: name.optional().describe('Column of the payment status.'),
  total: name.optional().describe("Column of the order's total."),
  createdAt: name.optional().describe('Column of the time the order was made; timestamp or timestamptz.'),
});

const softLinkConfig = z.strictObject({
  schema: name.optional().describe('Schema of the table; "public" without it.'),
  table: name.describe('A table whose rows belong to orders without a foreign key.'),
  columns: columns.describe("Column or columns that hold the order's key."),
  root: name.describe('The table of orders that they point to.'),
});

/** Words that mark a test wherever they stand alone. */
export const builtInTestWords = [
  'test',
  'testing',
  'demo',
  'example',
  'temp',
  'fake',
  'dummy',
  'sample',
] as const;

/** A word that is mistyped here would go on marking test addresses. */
function removalProblem(given: string): string | undefined {
  const known: readonly string[] = builtInTestWords;
  if (known.includes(given.toLowerCase())) return undefined;
  return `"${given}" is no built-in word; these are ${known.join(', ')}`;
}

/** Statuses for profiles that name none. */
export const defaultStatuses = {failed: ['FAILED'], cancelled: ['CANCELLED'], paid: ['PAID', 'COMPLETED']};

const profileConfig = z
  .strictObject({
    name: name.describe('Name of the profile, written into order backups.'),
    roots: z.array(rootConfig).min(1).describe('The tables that hold orders.'),
    failedPayments: statuses.describe('Payment statuses of failed orders; "FAILED" without it.'),
    cancelledStatuses: statuses.describe('Order statuses of cancelled orders; "CANCELLED" without it.'),
    paidPayments: statuses.describe('Payment statuses of paid orders; "PAID", "COMPLETED" without it.'),
    setNull: z
      .record(name, z.enum(['delete', 'keep']))
      .optional()
      .describe(
        'Tables that point to orders with ON DELETE SET NULL or SET DEFAULT: whether their rows are deleted too or stay ("keep", the default) and lose the link.',
      ),
    softLinks: z.array(softLinkConfig).optional().describe('Links to orders that are no foreign keys.'),
  })
  .superRefine((profile, context) => {
    const find = (message: string): void => context.addIssue({code: 'custom', message});
    const has = (column: 'email' | 'status' | 'paymentStatus'): boolean =>
      profile.roots.some((root) => root[column] !== undefined);
    if (!has('email') && !has('status') && !has('paymentStatus'))
      find('no order can ever be chosen: name email, status or paymentStatus of a root');
    for (const rule of ['failedPayments', 'paidPayments'] as const) {
      if (profile[rule] !== undefined && !has('paymentStatus'))
        find(`${rule} has no effect, as no root names its paymentStatus`);
    }
    if (profile.cancelledStatuses !== undefined && !has('status'))
      find('cancelledStatuses has no effect, as no root names its status');
    const {failedPayments = defaultStatuses.failed, paidPayments = defaultStatuses.paid} = profile;
    const both = failedPayments.find((status) => paidPayments.includes(status));
    if (both !== undefined) find(`"${both}" cannot be a status of failed and of paid payments`);
  });

export const ordersConfig = z.strictObject({
  profile: profileConfig
    .optional()
    .describe("What an order is; without it Destino's tables orders and catering_orders."),
  testWords: z
    .strictObject({
      add: z.array(word).optional().describe('More words that mark a test address.'),
      remove: z
        .array(
          word.refine((given) => removalProblem(given) === undefined, {
            error: ({input}) => removalProblem(String(input)),
          }),
        )
        .optional()
        .describe('Built-in words that do not.'),
    })
    .optional()
    .describe('Words that mark a test address: test, testing, demo, example, temp, fake, dummy, sample.'),
  throwAwayDomains: z
    .array(z.string().regex(/^[^\s@]+$/, 'a domain has neither spaces nor @'))
    .optional()
    .describe('Domains of throw-away addresses, beside the built-in ones.'),
  protected: z
    .array(
      z
        .string()
        .min(1)
        .refine((pattern) => !/^[*@]*$/.test(pattern.trim()), {
          error: 'protects every address, so that no order with one is ever chosen',
        }),
    )
    .optional()
    .describe('Addresses whose orders are never deleted; * stands for any text ("*@destinosf.com").'),
  excludedIds: z.array(z.string().min(1)).optional().describe('Orders that are never deleted.'),
  highValue: z
    .number()
    .min(0)
    .optional()
    .describe('Paid orders of more than this are never deleted; 100 without it.'),
  allowTriggers: z
    .array(z.string().min(1))
    .optional()
    .describe(
      'Rules, and triggers where the server does not count changed rows, that a cleaning may set off although it cannot see what they change: "schema.table.name".',
    ),
  timeZone: name.optional().describe('Time zone of --from and --to ("America/Los_Angeles"); UTC without it.'),
  lockWaitSeconds: z
    .int()
    .min(1)
    .optional()
    .describe(
      'How long orders:clean and orders:restore wait for locks of other sessions, and let others wait for theirs; 10 without it.',
    ),
});

export type OrdersConfig = z.infer<typeof ordersConfig>;
