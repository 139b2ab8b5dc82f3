/** Sends the lines of an order backup into the temporary tables that are ready for them. */
import {messageOf, withState} from '../errors.js';
import {beginCopy, type CopyInput} from '../postgres/copy-into.js';
import type {Session} from '../postgres/client.js';
import {CopyText} from './copy-text.js';
import {isDataException} from './data-exception.js';
import {jsonMembers, JsonTextError, memberName} from './json-text.js';
import type {OrderFile} from './order-file.js';
import {invalidOrderFile} from './order-file-error.js';
import {changedTypes, type StagedField, type StagedTable} from './staged-table.js';

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
  const writers = rows.map(
    (staged) => staged && (file.isFromOldScripts ? byMembers(staged) : byLayout(staged)),
  );
  try {
    await file.send({
      row: (table, line, json, start, end) => {
        const [staged, write] = [rows[table], writers[table]];
        if (!staged || !write) return;
        loads.add(staged, line, (copy) => {
          copy.begin(line, end - start, staged.fields.length);
          write(copy, json, start, end);
        });
      },
      link: (table, line, json) => {
        const staged = links[table];
        if (!staged) return;
        loads.add(staged, line, (copy) => {
          copy.begin(line, json.length, staged.keyFields.length + staged.fields.length);
          const parts = membersOf(json, 0);
          writeMembers(copy, json, parts.get('key'), staged.keyFields);
          writeMembers(copy, json, parts.get('values'), staged.fields);
        });
      },
      drain: () => loads.drain(),
    });
    await loads.drain();
    await loads.end();
  } catch (error) {
    await loads.abandon();
    throw error;
  }
}

/** Makes the columns of one row of a COPY out of the JSON text `json[start..end)`. */
type RowWriter = (copy: CopyText, json: Buffer, start: number, end: number) => void;

/** Rows as the server wrote them: the columns in the order of the metadata, and no spaces. */
function byLayout({fields}: StagedTable): RowWriter {
  const steps = fields.map(({name, form}, index) => ({
    before: Buffer.from(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    form,
  }));
  const after = Buffer.from(fields.length === 0 ? '{}' : '}');
  return (copy, json, start, end) => {
    let at = start;
    for (const {before, form} of steps) at = copy.value(json, expect(json, at, before), form);
    if (expect(json, at, after) !== end) throw new JsonTextError(at, 'something follows after its end');
  };
}

/** The position after `text`, which must stand at `at`. */
function expect(json: Buffer, at: number, text: Buffer): number {
  const {length} = text;
  for (let index = 0; index < length; index++) {
    if (json[at + index] !== text[index]) throw new JsonTextError(at, `${text.toString()} was expected`);
  }
  return at + length;
}

/** Rows whose members may stand in any order. */
function byMembers({fields}: StagedTable): RowWriter {
  return (copy, json, start) => writeMembers(copy, json, start, fields);
}

function writeMembers(
  copy: CopyText,
  json: Buffer,
  start: number | undefined,
  fields: readonly StagedField[],
): void {
  const values = start === undefined ? new Map<string, number>() : membersOf(json, start);
  for (const {name, form} of fields) {
    const at = values.get(name);
    if (at === undefined) copy.null();
    else copy.value(json, at, form);
  }
}

/** Where the values of an object begin. */
function membersOf(json: Buffer, start: number): Map<string, number> {
  const {members} = jsonMembers(json, start);
  return new Map(members.map((member) => [memberName(json, member), member.valueStart]));
}

/** The COPY statements, one after the other; as a rule the lines of a table stand together and need but one. */
class Loads {
  private readonly waiting = new Map<StagedTable, CopyText>();
  private running: {staged: StagedTable; input: CopyInput} | undefined;

  constructor(
    private readonly session: Session,
    private readonly file: OrderFile,
  ) {}

  /** @param write makes one row */
  add(staged: StagedTable, line: number, write: (copy: CopyText) => void): void {
    let copy = this.waiting.get(staged);
    if (!copy) this.waiting.set(staged, (copy = new CopyText()));
    try {
      write(copy);
      copy.endRow();
    } catch (error) {
      if (!(error instanceof JsonTextError)) throw error;
      throw invalidOrderFile(this.file.path, `line ${line}`, `the row cannot be read (${error.message})`);
    }
  }

  /** Sends what waits. */
  async drain(): Promise<void> {
    for (const [staged, copy] of this.waiting) {
      const blocks = copy.take();
      if (blocks.length === 0) this.waiting.delete(staged);
      else await this.send(staged, blocks);
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
  if (!isDataException(error)) return error;
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
