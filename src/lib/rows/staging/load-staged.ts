/** Sends the lines of an order backup into the temporary tables that are ready for them. */
import {messageOf, withState} from '../../base/errors.js';
import {beginCopy, type CopyInput} from '../../postgres/copy-into.js';
import type {Session} from '../../postgres/client.js';
import {CopyText} from './copy-text.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import {JsonTextError} from '../file/json-scanner.js';
import type {OrderFile} from '../file/order-file.js';
import {invalidOrderFile} from '../file/order-file-error.js';
import {LayoutRows, LinkRows, MemberRows, type RowPart, type RowWriter} from './row-writers.js';
import {changedTypes, type StagedTable} from './staged-table.js';

type Tables = readonly (StagedTable | undefined)[];

/**
 * @param rows,links by the indexes of the file's tables; what the database has no table for is left out
 * @throws ORDER_BACKUP_INVALID when the server cannot read a value
 */
export async function loadStaged(
  session: Session,
  file: OrderFile,
  rows: Tables,
  links: Tables,
): Promise<void> {
  const loads = new Loads(session, file);
  const rowWriters = rows.map(
    (staged) =>
      staged && (file.isFromOldScripts ? new MemberRows(staged.fields) : new LayoutRows(staged.fields)),
  );
  const linkWriters = links.map((staged) => staged && new LinkRows(staged));
  try {
    await file.send({
      row: (table, line, json, start, end, isLast) =>
        loads.add(rows[table], rowWriters[table], {line, json, start, end, isLast}),
      link: (table, line, json, start, end, isLast) =>
        loads.add(links[table], linkWriters[table], {line, json, start, end, isLast}),
      drain: () => loads.drain(),
    });
    await loads.drain();
    await loads.end();
  } catch (error) {
    await loads.abandon();
    throw error;
  }
}

/** The COPY statements, one after the other; as a rule the lines of a table stand together and need but one. */
class Loads {
  private readonly waiting = new Map<StagedTable, CopyText>();
  private running: {staged: StagedTable; input: CopyInput} | undefined;

  constructor(
    private readonly session: Session,
    private readonly file: OrderFile,
  ) {}

  /** Takes a row, or a part of one; returns the position up to which it was taken. */
  add(staged: StagedTable | undefined, writer: RowWriter | undefined, part: RowPart): number {
    if (!staged || !writer) return part.end;
    let copy = this.waiting.get(staged);
    if (!copy) this.waiting.set(staged, (copy = new CopyText()));
    try {
      const taken = writer.take(copy, part);
      if (part.isLast) copy.endRow();
      return taken;
    } catch (error) {
      if (!(error instanceof JsonTextError)) throw error;
      throw invalidOrderFile(
        this.file.path,
        `line ${part.line}`,
        `the row cannot be read (${error.message})`,
      );
    }
  }

  /** Sends what waits. */
  async drain(): Promise<void> {
    for (const [staged, copy] of this.waiting) {
      const blocks = copy.take();
      if (blocks.length === 0 && copy.line === undefined) this.waiting.delete(staged);
      else if (blocks.length > 0) await this.send(staged, blocks);
    }
  }

  /** Completes the statement that runs. */
  async end(): Promise<void> {
    const {running} = this;
    this.running = undefined;
    try {
      await running?.input.end();
    } catch (error) {
      throw running ? unreadable(this.file, error, running.staged) : error;
    }
  }

  async abandon(): Promise<void> {
    await this.running?.input.abandon();
  }

  private async send(staged: StagedTable, blocks: readonly Buffer[]): Promise<void> {
    if (this.running?.staged !== staged) {
      await this.end();
      const columns = [...staged.keyFields, ...staged.fields].map(({column}) => column);
      // The tables are new in this transaction, so their rows may be visible from the start and need no second writing.
      const sql = `COPY ${staged.temp} (${['line', ...columns].join(', ')}) FROM STDIN (FREEZE)`;
      this.running = {staged, input: await beginCopy(this.session, sql)};
    }
    const {input} = this.running;
    try {
      for (const block of blocks) await input.write(block);
    } catch (error) {
      this.running = undefined;
      throw unreadable(this.file, error, staged);
    }
  }
}

/** Data that the server refuses is the file's fault or that of a column whose type changed. */
function unreadable(file: OrderFile, error: unknown, staged: StagedTable): unknown {
  if (!hasSqlState(error, '22')) return error;
  const types = changedTypes(staged).map(({name, before, now}) => `${name} was ${before} and is ${now}`);
  return withState(
    invalidOrderFile(
      file.path,
      `in the rows of ${staged.file.table}`,
      `the server cannot read a value (${messageOf(error.cause)})`,
    ),
    types.length > 0
      ? `Columns have changed: ${types.join('; ')}. Nothing was changed.`
      : 'Nothing was changed.',
  );
}
