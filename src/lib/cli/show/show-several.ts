/** The results of several databases as a table, with the errors below it. */
import {countOf} from '../../base/format.js';
import type {errorDocument} from './show-error.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export interface DatabaseOutcome<R> {
  /** Name in the config file, or "server/database". */
  readonly name: string;
  readonly exitCode: number;
  /** Missing if there is an error. */
  readonly result?: R;
  readonly error?: ReturnType<typeof errorDocument>['error'];
}

export interface SeveralResult<R> {
  /** In the order of the config file. */
  readonly databases: readonly DatabaseOutcome<R>[];
  /** Databases of servers that had a backup and no longer exist. */
  readonly gone: readonly string[];
}

export interface SeveralView<R> {
  readonly head: readonly string[];
  /** The cells of a database behind its name. */
  readonly cells: (result: R, style: Style) => readonly string[];
  /** Columns that are aligned to the right. */
  readonly right?: readonly number[];
  /** "backed up", said of all that did not fail. */
  readonly done: (result: R | undefined) => string;
}

/** A row for each database, then a paragraph for each that failed. */
export function showSeveral<R>(view: SeveralView<R>): (result: SeveralResult<R>, style: Style) => string[] {
  return ({databases, gone}, style) => {
    const rows = databases.map(({name, result, error}) =>
      result === undefined
        ? [printable(name), style.red(error?.code ?? ''), ...view.head.slice(1).map(() => '-')]
        : [printable(name), ...view.cells(result, style)],
    );
    const failed = databases.filter(({exitCode}) => exitCode !== 0);
    const done = view.done(databases.find(({result}) => result !== undefined)?.result);
    return [
      ...table(rows, style, {head: ['DATABASE', ...view.head], right: view.right ?? []}),
      '',
      ...databases.flatMap(({name, error}) =>
        error === undefined
          ? []
          : [
              `${style.red(printable(name))} ${error.code}: ${printable(error.message)}`,
              ...(error.hint === undefined ? [] : [`  ${style.bold('Next:')} ${printable(error.hint)}`]),
            ],
      ),
      ...gone.map((name) => `${printable(name)} does not exist any more; its backups stay.`),
      failed.length === 0
        ? `${countOf(databases.length, 'database')} ${done}.`
        : `${databases.length - failed.length} of ${countOf(databases.length, 'database')} ${done}.`,
    ];
  };
}
