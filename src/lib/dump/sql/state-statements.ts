/** Reads the statements of a dump that set sequences and fill materialized views. */
import type {DumpedSequence, ObjectName} from '../../fingerprint/table-contents.js';
import {readQualifiedName} from './sql-names.js';

export interface DumpedState {
  readonly refreshedViews: readonly ObjectName[];
  readonly sequences: readonly DumpedSequence[];
}

export class StateList implements DumpedState {
  readonly refreshedViews: ObjectName[] = [];
  readonly sequences: DumpedSequence[] = [];

  /** Notes the sequence or view of a statement by pg_dump; ignores other statements. */
  take(statement: string): void {
    const view = /^REFRESH MATERIALIZED VIEW /.exec(statement);
    const sequence = /^SELECT pg_catalog\.setval\('((?:[^']|'')*)', (-?\d+), (true|false)\);$/.exec(
      statement,
    );
    if (view) {
      const name = readQualifiedName(statement, view[0].length);
      if (name) this.refreshedViews.push({schema: name.schema, name: name.name});
    } else if (sequence) {
      const [, literal = '', lastValue = '', isCalled] = sequence;
      const name = readQualifiedName(literal.replaceAll("''", "'"), 0);
      if (name)
        this.sequences.push({schema: name.schema, name: name.name, lastValue, isCalled: isCalled === 'true'});
    }
  }
}
