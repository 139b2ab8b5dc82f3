/** The result of `workflow:safe-cleanup` as lines. */
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {ordersIn} from '../../services/orders/clean/execute.js';
import type {SafeCleanupResult} from '../../services/orders/workflow/safe-cleanup.js';
import {showCleanPlan} from './show-cleaned-orders.js';
import {columns, printable, type Style} from './style.js';

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
      ...columns(result.steps.map((step) => [`  ${step.name}`, step.status, formatDuration(step.duration)])),
      ...showCleanPlan(orders, style, true),
      '',
      `Full backup:  ${backup?.path == null ? 'none' : printable(backup.path)}`,
      `Order backup: ${orders.backupPath === null ? 'none' : printable(orders.backupPath)}`,
      `Report:       ${printable(result.reportPath ?? 'none')}`,
      ...(result.undo.length === 0
        ? []
        : [
            '',
            style.bold('To undo it, the whole database or the orders alone:'),
            ...result.undo.map(printable),
          ]),
    ];
  };
}
