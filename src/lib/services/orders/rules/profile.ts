/** The definition of an order: the tables that contain orders, their columns, and the meaning of their statuses. */
import {defaultStatuses, type OrdersConfig} from '../../../settings/orders-config.js';
import type {SoftLink} from '../../../rows/model/read-schema.js';

/** The values of an order that a profile may describe. */
export const orderValues = ['email', 'status', 'paymentStatus', 'total', 'createdAt'] as const;

/** A column of the order, "join.column" of a joined table, or an expression over both. */
export type OrderValue = string | {readonly sql: string};

/** A table with at most one row for each order. */
export interface Join {
  readonly schema: string;
  readonly table: string;
  /** Its name in expressions. */
  readonly name: string;
  /** Its columns, each with the equal column of the order, or "join.column". */
  readonly on: Readonly<Record<string, string>>;
}

interface RootOf<Value> extends Readonly<Record<(typeof orderValues)[number], Value | undefined>> {
  readonly schema: string;
  readonly table: string;
  readonly key: readonly string[];
}

/** A table of orders as described in the config. */
export interface DescribedRoot extends RootOf<OrderValue> {
  readonly joins: readonly Join[];
}

/** A table of orders, with its values as columns of `Root.rows`. */
export type RootProfile = RootOf<string>;

export interface OrdersProfile {
  readonly name: string;
  /** Whether it is Destino's, whose rules may name tables that a database does not have. */
  readonly isBuiltIn: boolean;
  readonly roots: readonly DescribedRoot[];
  readonly failedPayments: readonly string[];
  readonly cancelledStatuses: readonly string[];
  readonly paidPayments: readonly string[];
  /** By table ("email_alerts" or "audit.notes"): whether rows that would lose their link are deleted or kept. */
  readonly setNull: Readonly<Record<string, 'delete' | 'keep'>>;
  readonly softLinks: readonly SoftLink[];
}

/** Destino's profile: the tables of its orders and of its catering orders; alerts about an order are deleted with it. */
function destinoProfile(schema: string): OrdersProfile {
  const root = {
    schema,
    key: ['id'],
    joins: [],
    email: 'email',
    status: 'status',
    paymentStatus: 'paymentStatus',
    createdAt: 'createdAt',
  };
  return {
    name: 'destino',
    isBuiltIn: true,
    roots: [
      {...root, table: 'orders', total: 'total'},
      {...root, table: 'catering_orders', total: 'totalAmount'},
    ],
    failedPayments: defaultStatuses.failed,
    cancelledStatuses: defaultStatuses.cancelled,
    paidPayments: defaultStatuses.paid,
    setNull: {email_alerts: 'delete'},
    softLinks: [],
  };
}

/**
 * The profile of the config, or Destino's.
 * @param schema of the tables that the profile names without one
 */
export function ordersProfile(config: OrdersConfig, schema = 'public'): OrdersProfile {
  const {profile} = config;
  const builtIn = destinoProfile(schema);
  if (profile === undefined) return builtIn;
  const list = (columns: string | string[]): string[] => (Array.isArray(columns) ? columns : [columns]);
  return {
    name: profile.name,
    isBuiltIn: false,
    roots: profile.roots.map((root) => ({
      schema: root.schema ?? schema,
      table: root.table,
      key: list(root.key ?? 'id'),
      joins: (root.joins ?? []).map((join) => ({
        schema: join.schema ?? schema,
        table: join.table,
        name: join.as ?? join.table,
        on: join.on,
      })),
      email: root.email,
      status: root.status,
      paymentStatus: root.paymentStatus,
      total: root.total,
      createdAt: root.createdAt,
    })),
    failedPayments: profile.failedPayments ?? builtIn.failedPayments,
    cancelledStatuses: profile.cancelledStatuses ?? builtIn.cancelledStatuses,
    paidPayments: profile.paidPayments ?? builtIn.paidPayments,
    setNull: profile.setNull ?? {},
    softLinks: (profile.softLinks ?? []).map((link) => ({
      schema: link.schema ?? schema,
      table: link.table,
      columns: list(link.columns),
      root: link.root,
    })),
  };
}
