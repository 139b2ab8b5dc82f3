/** The result of `orders:clean` as lines. */
import {countOf, formatCount, formatDuration} from '../../base/format.js';
import {ordersIn} from '../../services/orders/clean/execute.js';
import type {CleanToPlacesResult} from '../../services/orders/clean/clean.js';
import type {CleanPlan} from '../../services/orders/clean/plan.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

const reasonTexts: Readonly<Record<string, string>> = {
  'test-email': 'test address',
  'failed-payment': 'failed payment',
  cancelled: 'cancelled',
  old: 'failed or cancelled more than 90 days ago',
  linked: 'belongs to a selected order',
};

const guardTexts: Readonly<Record<string, string>> = {
  'high-value-paid': 'paid and of high value',
  'production-customer': 'customer with a paid order',
  protected: 'protected address',
  excluded: 'excluded id',
  'outside-range': 'outside the dates',
  linked: 'a guarded order refers to it',
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
      ...showTables('Deleted rows, by table', result, style),
      ...showGuards(result, style),
      ...(result.orders === null ? [] : showOrders(result, style, true)),
      '',
      ...(result.backupPath === null
        ? ['There is no order backup: the orders cannot be restored one by one.']
        : [
            `Order backup: ${printable(result.backupPath)}`,
            `${style.bold('To restore them:')} ${printable(result.undo ?? '')}`,
          ]),
    ];
  };
}

/** Everything that a plan says, without its heading. */
export function showCleanPlan(plan: CleanPlan, style: Style): string[] {
  return [
    ...showTables('Rows to delete, by table', plan, style),
    ...showCounts('Why', plan.reasons, reasonTexts, style),
    ...showGuards(plan, style),
    ...showStatuses(plan, style),
    ...showOrders(plan, style, false),
    ...showEffects(plan, style),
  ];
}

/** The style within a section, which is set in. */
function inset(style: Style): Pick<Style, 'bold' | 'width'> {
  return style.width === undefined ? style : {bold: style.bold, width: style.width - 2};
}

function section(title: string, lines: readonly string[], style: Style): string[] {
  return lines.length === 0
    ? []
    : ['', style.bold(title), ...lines.map((line) => (line === '' ? '' : `  ${line}`))];
}

function showTables(title: string, {tables}: CleanPlan, style: Style): string[] {
  const touched = Object.entries(tables).filter(([, {deleted, relinked}]) => deleted + relinked > 0);
  const rows = touched.map(([label, {deleted, relinked}]) => [
    printable(label),
    formatCount(deleted),
    relinked === 0 ? '' : `${formatCount(relinked)} kept without their link`,
  ]);
  return section(title, table(rows, inset(style), {right: [1]}), style);
}

function showCounts(
  title: string,
  counts: Readonly<Record<string, number>>,
  texts: Readonly<Record<string, string>>,
  style: Style,
): string[] {
  const rows = Object.entries(counts).map(([word, count]) => [texts[word] ?? word, formatCount(count)]);
  return section(title, table(rows, inset(style), {right: [1]}), style);
}

function showGuards({guards}: CleanPlan, style: Style): string[] {
  return showCounts('Matching orders that guards keep', guards, guardTexts, style);
}

/** Pairs of a table that are named; the rest is counted. */
const shownPairs = 3;

function showStatuses({statuses}: CleanPlan, style: Style): string[] {
  const rows = Object.entries(statuses).map(([label, counts]) => {
    const pairs = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
    const more = pairs.length - shownPairs;
    const named = pairs
      .slice(0, shownPairs)
      .map(([pair, count]) => `${printable(pair)} ${formatCount(count)}`);
    return [printable(label), [...named, ...(more > 0 ? [`${more} more`] : [])].join(', ')];
  });
  return section('By status and payment status', table(rows, inset(style)), style);
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
    printable(order.key),
    `${printable(order.table)}: ${order.reasons.map((word) => reasonTexts[word] ?? word).join(', ')}`,
  ]);
  const head = ['DATE', 'STATUS', 'TOTAL', 'E-MAIL', 'KEY', 'REASON'];
  const lines = rows.length === 0 ? [] : table(rows, inset(style), {head, right: [2]});
  if (orders === null) return section(`The first ${sample.length} of them`, lines, style);
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
      'Effects unknown: executed only if --allow-trigger names them',
      unseen.map((name) => printable(name)),
      style,
    ),
    ...section(
      'Foreign keys without an index, and the time they add',
      slowLinks.map(
        ({constraint, table, columns: names, seconds}) =>
          `${printable(constraint)} on ${printable(table)} (${names.map(printable).join(', ')}): about ${formatDuration(seconds * 1000)}`,
      ),
      style,
    ),
  ];
}
