/** The differences between two sides as lines. */
import {countOf, formatCount, formatTime} from '../../base/format.js';
import {someOf} from '../../base/some-of.js';
import type {DiffResult, DiffSide, TableDiff} from '../../services/rows/diff-backups.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** Keys of one kind that are shown; --json has more. */
const shownKeys = 5;

/** @param restore the command that restores rows of these tables from this backup */
export function showDiff(
  restore: (backup: string, flags: readonly string[]) => string,
): (result: DiffResult, style: Style) => string[] {
  return (result, style) =>
    [...diffSections(result, style), nextLines(result, style, restore)]
      .filter((section) => section.length > 0)
      .flatMap((section, index) => (index === 0 ? section : ['', ...section]));
}

/** Rows of the backup that the database lacks, or has with other values, can be restored. */
function nextLines(
  {left, right, tables}: DiffResult,
  style: Style,
  restore: (backup: string, flags: readonly string[]) => string,
): string[] {
  const restorable = tables.filter(({onlyRight, changed}) => onlyRight + changed > 0);
  if (left.kind !== 'database' || restorable.length === 0) return [];
  const flags = [
    ...restorable.map(({table}) => `--table=${table}`),
    ...(restorable.some(({onlyRight}) => onlyRight > 0) ? ['--missing'] : []),
    ...(restorable.some(({changed}) => changed > 0) ? ['--changed'] : []),
  ];
  return [
    `${style.bold('Next:')} preview the restore of these rows: ${printable(restore(right.name, flags))}`,
  ];
}

function headline({tables, schemaDifferences}: DiffResult): string {
  if (tables.length > 0) return `The rows of ${countOf(tables.length, 'table')} differ.`;
  return schemaDifferences.length > 0 ? 'The rows are equal, definitions differ.' : 'Both sides are equal.';
}

function diffSections(result: DiffResult, style: Style): string[][] {
  const {left, right, tables, equalTables, schemaDifferences} = result;
  const head = ['TABLE', 'LEFT ONLY', 'RIGHT ONLY', 'CHANGED'];
  const rows = tables.map(({table, onlyLeft, onlyRight, changed}) => [
    printable(table),
    ...[onlyLeft, onlyRight, changed].map(formatCount),
  ]);
  const definitions = schemaDifferences.map((line) => `  ${printable(line)}`);
  return [
    [style.bold(headline(result)), `  left: ${sideText(left)}`, `  right: ${sideText(right)}`],
    tables.length === 0 ? [] : table(rows, style, {head, right: [1, 2, 3]}),
    ...tables.map(keyLines),
    definitions.length === 0 ? [] : [style.bold('Definitions that differ:'), ...definitions],
    equalTables === 0 ? [] : [`${countOf(equalTables, 'table')} with equal rows.`],
  ];
}

function sideText({kind, name, takenAt}: DiffSide): string {
  return `the ${kind} ${printable(name)}${takenAt === null ? '' : `, taken ${formatTime(takenAt)}`}`;
}

function keyLines({table, key, onlyLeft, onlyRight, changed, keys}: TableDiff): string[] {
  if (!keys) return [];
  const kinds = [
    ['left only', keys.onlyLeft, onlyLeft],
    ['right only', keys.onlyRight, onlyRight],
    ['changed', keys.changed, changed],
  ] as const;
  const lines = kinds.flatMap(([kind, list, count]) =>
    list.length === 0
      ? []
      : [
          `  ${kind}: ${someOf(
            list.map((parts) => parts.map((part) => part ?? 'null').join(',')),
            shownKeys,
            count,
          ).join(', ')}`,
        ],
  );
  const by = key.length === 0 ? 'whole rows' : key.join(',');
  return lines.length === 0 ? [] : [`${table} (${by})`, ...lines].map(printable);
}
