/** The differences between two sides as lines. */
import {countOf, formatCount, formatTime} from '../../base/format.js';
import {someOf} from '../../base/some-of.js';
import type {DiffResult, DiffSide, TableDiff} from '../../services/rows/diff-backups.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** Keys of one kind that are shown; --json has more. */
const shownKeys = 5;

export function showDiff(result: DiffResult, style: Style): string[] {
  const {left, right, tables, equalTables, schemaDifferences} = result;
  const isEqual = tables.length === 0 && schemaDifferences.length === 0;
  const head = ['TABLE', 'LEFT ONLY', 'RIGHT ONLY', 'CHANGED'];
  const rows = tables.map(({table, onlyLeft, onlyRight, changed}) => [
    printable(table),
    ...[onlyLeft, onlyRight, changed].map(formatCount),
  ]);
  return [
    style.bold(isEqual ? 'Both sides are equal.' : `The rows of ${countOf(tables.length, 'table')} differ.`),
    `  left: ${sideText(left)}`,
    `  right: ${sideText(right)}`,
    '',
    ...(tables.length === 0 ? [] : [...table(rows, style, {head, right: [1, 2, 3]}), '']),
    ...tables.flatMap(keyLines),
    ...(schemaDifferences.length === 0
      ? []
      : [
          style.bold('Definitions that differ:'),
          ...schemaDifferences.map((line) => `  ${printable(line)}`),
          '',
        ]),
    ...(equalTables === 0 ? [] : [`${countOf(equalTables, 'table')} with equal rows.`]),
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
  return lines.length === 0 ? [] : [`${table} (${by})`, ...lines, ''].map(printable);
}
