/** The result of `workflow:safe-cleanup` as lines. */
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {ordersIn} from '../../services/orders/clean/execute.js';
import type {SafeCleanupResult} from '../../services/orders/workflow/safe-cleanup.js';
import {showCleanPlan} from './show-cleaned-orders.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** @param repeat the command that executes what was previewed, from the plan's hash */
export function showSafeCleanup(repeat: (plan: string) => string) {
  return (result: SafeCleanupResult, style: Style): string[] => {
    const {orders, backup} = result;
    const where = `${printable(orders.database)} on ${orders.host}`;
    const count = ordersIn(orders);
    const what = `${countOf(count, 'order')} with ${countOf(orders.totalRows, 'row')}`;
    if (count === 0) return [style.bold(`No order in ${where} is to be deleted, so nothing was done.`)];
    if (result.mode === 'preview') {
      return [
        style.bold(`Preview: ${what} would be deleted from ${where}.`),
        'Nothing was changed.',
        backup === null
          ? 'No full backup would be made.'
          : `A full backup would be made first: ${countOf(backup.tables.length, 'table')}, about ${formatBytes(backup.size)}.`,
        ...showCleanPlan(orders, style),
        '',
        `${style.bold('Next:')} ${repeat(orders.plan)}`,
      ];
    }
    return [
      style.bold(`Deleted ${what} from ${where}.`),
      '',
      style.bold('Steps'),
      ...table(
        result.steps.map((step) => [step.name, step.status, formatDuration(step.duration)]),
        style,
        {indent: 2},
      ),
      '',
      ...table(
        [
          ['Full backup', printable(backup?.path ?? 'none')],
          ['Order backup', printable(orders.backupPath ?? 'none')],
          ['Report', printable(result.reportPath ?? 'none')],
        ],
        style,
      ),
      ...(result.undo.length === 0
        ? []
        : [
            '',
            style.bold('To undo it, for the whole database or only the orders:'),
            ...result.undo.map(printable),
          ]),
    ];
  };
}
