/** The `orders` section of the config file: the tables of orders, the signs of a test order, and the orders to keep. */
import {z} from 'zod';

const name = z.string().min(1);
const columns = z.union([name, z.array(name).min(1)]);
const statuses = z.array(name).min(1).exactOptional();
const word = z.string().regex(/^[a-z0-9]+$/i, 'use letters and digits only');

/** A column of the order, "join.column" of a joined table, or an expression over both. */
const value = z.union(
  [
    name,
    z.strictObject({
      sql: name.describe('SQL expression over the columns of the order and of the joined tables.'),
    }),
  ],
  {error: 'takes a column or {"sql": "an expression"}'},
);

const joinConfig = z.strictObject({
  schema: name.exactOptional().describe('Schema of the table (default "public").'),
  table: name.describe('Table with at most one row for each order.'),
  as: name
    .exactOptional()
    .describe("Name of the joined table in values and in later joins (default: the table's name)."),
  on: z
    .record(name, name)
    .refine((pairs) => Object.keys(pairs).length > 0, 'names no column')
    .describe(
      'Columns of the joined table that a unique index covers, each with the column of the order, or "join.column" of an earlier join, that it equals.',
    ),
});

const rootConfig = z.strictObject({
  schema: name.exactOptional().describe('Schema of the table (default "public").'),
  table: name.describe('Table of orders.'),
  key: columns.exactOptional().describe('Column or columns of the primary key (default "id").'),
  joins: z
    .array(joinConfig)
    .exactOptional()
    .describe('Tables that values of an order are read from; none of their rows is deleted.'),
  email: value
    .exactOptional()
    .describe(
      'Column of the customer\'s e-mail address. This and the values below can be "join.column" of a joined table, or {"sql": "..."}.',
    ),
  status: value.exactOptional().describe('Column of the order status.'),
  paymentStatus: value.exactOptional().describe('Column of the payment status.'),
  total: value.exactOptional().describe("Column of the order's total."),
  createdAt: value.exactOptional().describe('Column with the time of the order; timestamp or timestamptz.'),
});

const softLinkConfig = z.strictObject({
  schema: name.exactOptional().describe('Schema of the table (default "public").'),
  table: name.describe('Table whose rows belong to orders without a foreign key.'),
  columns: columns.describe("Column or columns with the order's key."),
  root: name.describe('Table of orders that they refer to.'),
});

/** Words that identify a test address if they stand alone. */
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

/** A mistyped word would have no effect here. */
function removalProblem(given: string): string | undefined {
  const known: readonly string[] = builtInTestWords;
  if (known.includes(given.toLowerCase())) return undefined;
  return `"${given}" is not a built-in word; the built-in words are ${known.join(', ')}`;
}

/** Statuses for profiles without their own. */
export const defaultStatuses = {failed: ['FAILED'], cancelled: ['CANCELLED'], paid: ['PAID', 'COMPLETED']};

const profileConfig = z
  .strictObject({
    name: name.describe('Name of the profile, written into order backups.'),
    roots: z.array(rootConfig).min(1).describe('The tables of orders.'),
    failedPayments: statuses.describe('Payment statuses of failed orders (default "FAILED").'),
    cancelledStatuses: statuses.describe('Order statuses of cancelled orders (default "CANCELLED").'),
    paidPayments: statuses.describe('Payment statuses of paid orders (default "PAID", "COMPLETED").'),
    setNull: z
      .record(name, z.enum(['delete', 'keep']))
      .exactOptional()
      .describe(
        'Tables that refer to orders with ON DELETE SET NULL or SET DEFAULT: "delete" deletes their rows too, "keep" (the default) keeps them without the link.',
      ),
    softLinks: z.array(softLinkConfig).exactOptional().describe('Links to orders that are not foreign keys.'),
  })
  .superRefine((profile, context) => {
    const find = (message: string): void => context.addIssue({code: 'custom', message});
    const has = (column: 'email' | 'status' | 'paymentStatus'): boolean =>
      profile.roots.some((root) => root[column] !== undefined);
    if (!has('email') && !has('status') && !has('paymentStatus'))
      find('no order can ever be selected: set email, status or paymentStatus of a root');
    for (const rule of ['failedPayments', 'paidPayments'] as const) {
      if (profile[rule] !== undefined && !has('paymentStatus'))
        find(`${rule} has no effect, because no root sets its paymentStatus`);
    }
    if (profile.cancelledStatuses !== undefined && !has('status'))
      find('cancelledStatuses has no effect, because no root sets its status');
    for (const {table, joins = []} of profile.roots) {
      const names = [table, ...joins.map((join) => join.as ?? join.table)];
      const twice = names.find((given, index) => names.indexOf(given) !== index);
      if (twice !== undefined)
        find(`two tables of the root "${table}" are called "${twice}"; name one with "as"`);
    }
    const {failedPayments = defaultStatuses.failed, paidPayments = defaultStatuses.paid} = profile;
    const both = failedPayments.find((status) => paidPayments.includes(status));
    if (both !== undefined) find(`"${both}" cannot be a status of both failed and paid payments`);
  });

export const ordersConfig = z.strictObject({
  profile: profileConfig
    .exactOptional()
    .describe("Description of the tables of orders (default: Destino's tables orders and catering_orders)."),
  testWords: z
    .strictObject({
      add: z.array(word).exactOptional().describe('Additional words of test addresses.'),
      remove: z
        .array(
          word.refine((given) => removalProblem(given) === undefined, {
            error: ({input}) => removalProblem(String(input)),
          }),
        )
        .exactOptional()
        .describe('Built-in words to ignore.'),
    })
    .exactOptional()
    .describe('Words of test addresses: test, testing, demo, example, temp, fake, dummy, sample.'),
  throwAwayDomains: z
    .array(z.string().regex(/^[^\s@]+$/, 'a domain contains neither spaces nor @'))
    .exactOptional()
    .describe('Domains of throw-away addresses, in addition to the built-in ones.'),
  protected: z
    .array(
      z
        .string()
        .min(1)
        .refine((pattern) => !/^[*@]*$/.test(pattern.trim()), {
          error: 'protects every address, so that no order with an address is ever selected',
        }),
    )
    .exactOptional()
    .describe('Addresses whose orders are never deleted; * stands for any text ("*@destinosf.com").'),
  excludedIds: z.array(z.string().min(1)).exactOptional().describe('Orders that are never deleted.'),
  highValue: z
    .number()
    .min(0)
    .exactOptional()
    .describe('Amount above which a paid order is never deleted (default 100).'),
  allowTriggers: z
    .array(z.string().min(1))
    .exactOptional()
    .describe(
      'Rules ("schema.table.name") that a cleaning may trigger although it cannot see what they change; triggers too, where the server does not count changed rows.',
    ),
  timeZone: name
    .exactOptional()
    .describe('Time zone of --from and --to, such as "America/Los_Angeles" (default UTC).'),
  lockWaitSeconds: z
    .int()
    .min(1)
    .exactOptional()
    .describe(
      'How long orders:clean and orders:restore wait for locks of other sessions, and let others wait for theirs (default 10).',
    ),
});

export type OrdersConfig = z.infer<typeof ordersConfig>;
