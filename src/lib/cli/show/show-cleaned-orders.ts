/** What `orders:clean` found or did, as lines. */
import {countOf, formatCount, formatDuration} from '../../base/format.js';
import {ordersIn} from '../../services/orders/clean/execute.js';
import type {CleanToPlacesResult} from '../../services/orders/clean/clean.js';
import type {CleanPlan} from '../../services/orders/clean/plan.js';
import {columns, printable, type Style} from './style.js';

const reasonTexts: Readonly<Record<string, string>> = {
  'test-email': 'test address',
  'failed-payment': 'failed payment',
  cancelled: 'cancelled',
  old: 'failed or cancelled more than 90 days ago',
  linked: 'hangs on a chosen order',
};

const guardTexts: Readonly<Record<string, string>> = {
  'high-value-paid': 'paid and of high value',
  'production-customer': 'customer with a paid order',
  protected: 'protected address',
  excluded: 'excluded id',
  'outside-range': 'outside the dates',
  linked: 'a guarded order hangs on it',
};

/** @param repeat the command with flags added, from the plan's hash */
export function showCleanedOrders(repeat: (plan: string) => string) {
  return (result: CleanToPlacesResult, style: Style): string[] => {
    const where = `${printable(result.database)} on ${result.host}`;
    if (ordersIn(result) === 0) {
      return [style.bold(`No order in ${where} is to be deleted.`), ...showGuards(result, style)];
    }
    const what = `${countOf(ordersIn(result), 'order')} with everything that belongs to them, ${countOf(result.totalRows, 'row')}`;
    if (result.mode === 'preview') {
      return [
        style.bold(`Preview: ${what}, would be deleted from ${where}.`),
        'Nothing was changed.',
        ...showCleanPlan(result, style),
        '',
        `${style.bold('Next:')} ${repeat(result.plan)}`,
      ];
    }
    return [
      style.bold(`Deleted ${what}, from ${where}.`),
      ...showTables(deletedTitle, result, style),
      ...showGuards(result, style),
      ...(result.orders === null ? [] : showOrders(result, style, true)),
      '',
      ...(result.backupPath === null
        ? ['There is no order backup: they cannot be put back one by one.']
        : [
            `Order backup: ${printable(result.backupPath)}`,
            `${style.bold('To put them back:')} ${printable(result.undo ?? '')}`,
          ]),
    ];
  };
}

const deletedTitle = 'Deleted rows, by table';

/** Everything that a plan says, without its heading. */
export function showCleanPlan(plan: CleanPlan, style: Style, isDone = false): string[] {
  return [
    ...showTables(isDone ? deletedTitle : 'Rows to delete, by table', plan, style),
    ...showCounts('Why', plan.reasons, reasonTexts, style),
    ...showGuards(plan, style),
    ...showStatuses(plan, style),
    ...showOrders(plan, style, isDone),
    ...showEffects(plan, style),
  ];
}

function section(title: string, lines: readonly string[], style: Style): string[] {
  return lines.length === 0 ? [] : ['', style.bold(title), ...lines.map((line) => `  ${line}`)];
}

function showTables(title: string, {tables}: CleanPlan, style: Style): string[] {
  const touched = Object.entries(tables).filter(([, {deleted, relinked}]) => deleted + relinked > 0);
  const rows = touched.map(([label, {deleted, relinked}]) => [
    printable(label),
    formatCount(deleted),
    relinked === 0 ? '' : `${formatCount(relinked)} kept without their link`,
  ]);
  return section(title, columns(rows, [1]), style);
}

function showCounts(
  title: string,
  counts: Readonly<Record<string, number>>,
  texts: Readonly<Record<string, string>>,
  style: Style,
): string[] {
  const rows = Object.entries(counts).map(([word, count]) => [texts[word] ?? word, formatCount(count)]);
  return section(title, columns(rows, [1]), style);
}

function showGuards({guards}: CleanPlan, style: Style): string[] {
  return showCounts('Matching orders that guards keep', guards, guardTexts, style);
}

function showStatuses({statuses}: CleanPlan, style: Style): string[] {
  const rows = Object.entries(statuses).flatMap(([label, counts]) => [
    [printable(label)],
    ...Object.entries(counts).map(([status, count]) => [`  ${printable(status)}`, formatCount(count)]),
  ]);
  return section('By status and payment status', columns(rows, [1]), style);
}

/** Every order where they are listed, else some. */
function showOrders(plan: CleanPlan, style: Style, isDone: boolean): string[] {
  const {sample, orders} = plan;
  const listed = orders ?? sample;
  const rows = listed.map((order) => [
    printable((order.createdAt ?? '-').slice(0, 10)),
    printable(`${order.status ?? '-'}/${order.paymentStatus ?? '-'}`),
    printable(order.total ?? '-'),
    printable(order.email ?? '-'),
  ]);
  const lines = columns(rows, [2]).flatMap((line, index) => {
    const {table = '', key = '', reasons = []} = listed[index] ?? {};
    const why = reasons.map((word) => reasonTexts[word] ?? word).join(', ');
    return [line, `  ${printable(key)}  ${printable(table)}: ${why}`];
  });
  if (orders === null) return section('Some of them', lines, style);
  const left = ordersIn(plan) - orders.length;
  const rest = left > 0 ? [`and ${countOf(left, 'more order')}, more than a list can have`] : [];
  return section(isDone ? 'Deleted orders' : 'Orders to delete', [...lines, ...rest], style);
}

function showEffects({triggers, rules, unseen, slowLinks, tables}: CleanPlan, style: Style): string[] {
  const isTouched = (label: string): boolean =>
    (tables[label]?.deleted ?? 0) + (tables[label]?.relinked ?? 0) > 0;
  return [
    ...section(
      'Triggers that fire',
      triggers
        .filter((found) => isTouched(found.table))
        .map(
          ({table, trigger, timing, event, function: name}) =>
            `${printable(trigger)} ${timing} ${event} on ${printable(table)}: ${printable(name)}`,
        ),
      style,
    ),
    ...section(
      'Rules that apply',
      rules.map(
        ({table, rule, timing, event}) => `${printable(rule)} ${timing} on ${event} of ${printable(table)}`,
      ),
      style,
    ),
    ...section(
      'Not executed until allowed by name (--allow-trigger), as their effects cannot be seen',
      unseen.map((name) => printable(name)),
      style,
    ),
    ...section(
      'Foreign keys without an index, and how long they make it last',
      slowLinks.map(
        ({constraint, table, columns: names, seconds}) =>
          `${printable(constraint)} on ${printable(table)} (${names.map(printable).join(', ')}): about ${formatDuration(seconds * 1000)}`,
      ),
      style,
    ),
  ];
}
