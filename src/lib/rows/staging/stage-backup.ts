/** Streams rows of a backup into temporary tables of the session, and verifies that the server reads them as they are written there. */
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import type {CopyStatement} from '../../dump/sql/sql-names.js';
import {
  createRowHashSum,
  fingerprintPrefix,
  fingerprintText,
  joinFingerprints,
  rowDigest,
  type RowHashSum,
} from '../../fingerprint/row-hash.js';
import {RowHashes} from '../../fingerprint/row-hashes.js';
import {pinAsDump} from '../../fingerprint/fingerprint.js';
import {type Session, withTransaction} from '../../postgres/client.js';
import {beginCopy, type CopyInput} from '../../postgres/copy-into.js';
import {copyOut} from '../../postgres/copy-out.js';
import {type NamedTable, quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import {type RowTaker, takeRows} from '../../postgres/take-rows.js';
import type {FileColumn, OrderFile} from '../file/order-file.js';
import {fromRelation, type TargetTable} from './restore-target.js';
import type {RowRules} from './row-rules.js';
import {describeStaged, keyOf, keyText, lookupColumns, type StagedTable} from './staged-table.js';

export interface WantedTable {
  readonly target: TargetTable;
  readonly rules: RowRules;
  /** Tables of the backup whose rows these are: the table itself, or its partitions. */
  readonly sources: readonly (NamedTable & {
    readonly fingerprint?: string | null;
    readonly rows?: number | null;
    /** Columns whose values read as the backup has them whatever they are, as their types are the same. */
    readonly sameTypes?: ReadonlySet<string>;
  })[];
  /** Keys of the rows to stage, as --key takes them; every row without it. */
  readonly onlyKeys?: readonly string[];
  /**
   * The columns that the backup has, as far as is known before it is read. Rows that the database has with the same text in
   * these columns are counted and not staged. Undefined: every row is staged.
   */
  readonly comparable?: readonly string[];
}

/** A table with its rows of the backup (`base`), and an empty one for those that are chosen (`staged.temp`). */
export interface BackupTable {
  readonly staged: StagedTable;
  readonly rules: RowRules;
  /** Quoted name of the temporary table with the rows of the backup, apart from the `equal` ones. */
  readonly base: string;
  /** Rows that were not staged because the database has them just so. */
  readonly equal: number;
  /** Quoted name of the temporary table with the lines that were planned. */
  readonly planned: string;
}

interface State {
  readonly wanted: WantedTable;
  readonly index: number;
  /** Columns of the backup, in the order in which they came up. */
  readonly columns: FileColumn[];
  /** SQL condition on the columns of the temporary table: which rows are staged; undefined for all. */
  readonly only: string | undefined;
  lines: number;
  /** The rows that the database has, read in the same form. */
  live: {readonly columns: string; readonly encoding: string; readonly rows: RowHashes} | undefined;
  equal: number;
}

/** Rows of the database whose hashes are kept at most; of more rows, the others are staged. They take 34 MB. */
const mostHashes = 2_500_000;
/** Of a row that comes in pieces so much is held back until it is known whether the database has it. */
const mostHeld = 1 << 20;

const blockBytes = 1 << 18;
const newline = Buffer.from('\n');

/** Rows of one COPY statement of the backup, each behind its number. */
class Load implements RowTaker {
  readonly sum: RowHashSum = createRowHashSum();
  /** The rows that were sent. */
  readonly sent: RowHashSum = createRowHashSum();
  readonly firstLine: number;
  private readonly known: RowHashes | undefined;
  private held: Buffer[] = [];
  private heldBytes = 0;
  private full: Buffer[] = [];
  private block = Buffer.allocUnsafeSlow(blockBytes);
  private length = 0;
  private isInRow = false;

  constructor(
    readonly state: State,
    readonly copy: CopyStatement,
    readonly encoding: string,
  ) {
    this.firstLine = state.lines + 1;
    const {live} = state;
    if (live?.columns === JSON.stringify(copy.columns) && live.encoding === encoding) this.known = live.rows;
  }

  add(buffer: Buffer, start: number, end: number): void {
    const {sum, sent, state} = this;
    sum.add(buffer, start, end);
    if (!this.isInRow && this.known?.has(sum.row) === true) {
      this.held = [];
      this.heldBytes = 0;
      state.lines += 1;
      state.equal += 1;
      return;
    }
    this.release();
    this.part(buffer, start, end);
    if (state.only !== undefined) {
      const hash = Buffer.from(`\t${rowDigest(sum.row)}`);
      this.bytes(hash, 0, hash.length);
    }
    this.bytes(newline, 0, 1);
    sent.addHash(sum.row);
    this.isInRow = false;
  }

  append(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.sum.append(buffer, start, end);
    if (this.isInRow || !this.known) return this.part(buffer, start, end);
    this.held.push(Buffer.from(buffer.subarray(start, end)));
    this.heldBytes += end - start;
    if (this.heldBytes > mostHeld) this.release();
  }

  /** Whether there is enough to send. */
  get isFull(): boolean {
    return this.full.length > 0;
  }

  take(): Buffer[] {
    const blocks = this.full;
    if (this.length > 0) blocks.push(this.block.subarray(0, this.length));
    this.full = [];
    this.block = this.block.subarray(this.length);
    this.length = 0;
    return blocks;
  }

  private release(): void {
    for (const piece of this.held) this.part(piece, 0, piece.length);
    this.held = [];
    this.heldBytes = 0;
  }

  private part(buffer: Buffer, start: number, end: number): void {
    if (!this.isInRow) {
      this.state.lines += 1;
      const head = Buffer.from(`${this.state.lines}${this.copy.columns.length === 0 ? '' : '\t'}`);
      this.bytes(head, 0, head.length);
      this.isInRow = true;
    }
    this.bytes(buffer, start, end);
  }

  private bytes(source: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.length === this.block.length) {
        if (this.length > 0) this.full.push(this.block);
        this.block = Buffer.allocUnsafeSlow(blockBytes);
        this.length = 0;
      }
      const copied = source.copy(this.block, this.length, at, end);
      at += copied;
      this.length += copied;
    }
  }
}

/**
 * Takes the rows as they come: `takerOf` for each COPY statement, `drain` after each piece of the backup, `finish` at its end.
 * Each COPY is a transaction that can write to temporary tables only.
 */
export class BackupStage {
  private readonly states: readonly State[];
  private readonly loads: Load[] = [];
  private running: {load: Load; input: CopyInput} | undefined;

  constructor(
    private readonly session: Session,
    private readonly file: OrderFile,
    wanted: readonly WantedTable[],
  ) {
    this.states = wanted.map((table, index) => ({
      wanted: table,
      index,
      columns: [],
      only: onlyKeys(table),
      lines: 0,
      live: undefined,
      equal: 0,
    }));
  }

  /** Makes the temporary tables, like the targets in types and collations and without their constraints. */
  async prepare(): Promise<void> {
    await this.session.query('BEGIN');
    for (const {wanted, index, only} of this.states) {
      const {target} = wanted;
      const hash = only === undefined ? [] : [`NULL::text AS ${hashColumn}`];
      const columns = target.columns.map(({number, name}) => `t.${quoteIdentifier(name)} AS c${number}`);
      await this.session.query(
        `CREATE TEMPORARY TABLE ${nameOf('base', index)} AS SELECT ${['0::bigint AS line', ...columns, ...hash].join(', ')} FROM ${fromRelation(target)} t WITH NO DATA`,
      );
      await this.session.query(
        `CREATE TEMPORARY TABLE ${nameOf('rows', index)} AS
           SELECT ${['0::bigint AS line', 'NULL::text AS reason', 'NULL::smallint[] AS changes', 'NULL::boolean AS as_parent', ...columns].join(', ')} FROM ${fromRelation(target)} t WITH NO DATA`,
      );
      await this.session.query(`CREATE TEMPORARY TABLE ${nameOf('planned', index)} (line bigint)`);
      await this.session.query(
        `CREATE TEMPORARY TABLE ${nameOf('waits', index)} (line bigint, reason text, freer bigint, round int)`,
      );
    }
    await this.session.query('COMMIT');
  }

  /** Hashes the rows that the database has, where the backup's are compared with them. */
  async readLive(): Promise<void> {
    const {session} = this;
    let room = mostHashes;
    await withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY', async () => {
      const [row] = await session.query(`SELECT pg_catalog.current_setting('server_encoding') AS encoding`);
      const encoding = row?.['encoding'] ?? 'UTF8';
      const {copyOf} = await pinAsDump(session, encoding);
      for (const state of this.states) {
        const {comparable, target} = state.wanted;
        if (!comparable || comparable.length === 0 || room === 0) continue;
        const expected = state.wanted.sources.reduce((sum, each) => sum + (each.rows ?? 0), 0);
        const rows = new RowHashes(Math.min(expected, room));
        const sum = createRowHashSum();
        const taker: RowTaker = {
          append: (buffer, start, end) => sum.append(buffer, start, end),
          add: (buffer, start, end) => {
            sum.add(buffer, start, end);
            rows.add(sum.row);
          },
        };
        const list = comparable.map(quoteIdentifier).join(', ');
        await copyOut(
          session,
          copyOf(`(SELECT ${list} FROM ${fromRelation(target)} LIMIT ${room})`),
          (chunk) => takeRows(chunk, taker),
        );
        room -= sum.rows;
        state.live = {columns: JSON.stringify(comparable), encoding, rows};
      }
    });
  }

  readonly takerOf = (copy: CopyStatement, encoding: string): RowTaker | undefined => {
    const state = this.states.find(({wanted}) =>
      wanted.sources.some(({schema, name}) => schema === copy.schema && name === copy.name),
    );
    if (!state) return undefined;
    const load = new Load(state, copy, encoding);
    this.loads.push(load);
    return load;
  };

  /** Sends what has come. */
  async drain(): Promise<void> {
    while (this.loads.length > 0) {
      const [load] = this.loads;
      if (!load) return;
      const isLast = this.loads.length === 1;
      // Where most rows are equal, each piece of the backup would else send a few of them.
      if (!isLast || load.isFull) await this.send(load);
      if (isLast) return;
      await this.complete();
      this.loads.shift();
    }
  }

  /** @throws TABLE_NOT_IN_BACKUP, and what `drain` throws */
  async finish(): Promise<BackupTable[]> {
    await this.drain();
    const [last] = this.loads;
    if (last) {
      await this.send(last);
      await this.complete();
    }
    const tables: BackupTable[] = [];
    for (const state of this.states) {
      const {target, rules} = state.wanted;
      const label = qualifiedName(target);
      if (state.columns.length === 0 && state.lines === 0 && !this.found.has(state))
        throw notInBackup(label, this.file.path);
      const table = {
        table: label,
        schema: target.schema,
        name: target.name,
        rows: state.lines,
        checksum: undefined,
        columns: state.columns,
        key: target.columns.filter(({number}) => target.primaryKey.includes(number)).map(({name}) => name),
      };
      const staged = {
        ...describeStaged(this.file, table, target, `destino_rows_${state.index}`),
        waits: nameOf('waits', state.index),
      };
      const base = nameOf('base', state.index);
      const looked = ['line', ...lookupColumns(staged).map((number) => `c${number}`)];
      await this.session.query('BEGIN');
      await this.session.query('SET LOCAL default_statistics_target = 10');
      await this.session.query(`ANALYZE ${base} (${looked.join(', ')})`);
      await this.session.query('COMMIT');
      state.live = undefined;
      tables.push({staged, rules, base, equal: state.equal, planned: nameOf('planned', state.index)});
    }
    return tables;
  }

  /** Gives up what runs, so that the session can go on. */
  async abandon(): Promise<void> {
    await this.running?.input.abandon();
    await this.session.query('ROLLBACK').catch(() => undefined); // the session may be gone
  }

  private readonly found = new Set<State>();

  private async send(load: Load): Promise<void> {
    if (this.running?.load !== load) this.running = {load, input: await this.begin(load)};
    try {
      for (const block of load.take()) await this.running.input.write(block);
    } catch (error) {
      throw explainRefusal(error, load.state.wanted);
    }
  }

  private async begin({state, copy, encoding}: Load): Promise<CopyInput> {
    const {session} = this;
    const {target} = state.wanted;
    const isFirst = !this.found.has(state);
    this.found.add(state);
    const names = copy.columns.map((name) => {
      const column = target.columns.find((each) => each.name === name);
      let position = state.columns.findIndex((each) => each.name === name);
      if (position < 0) {
        position = state.columns.length;
        state.columns.push({name, asText: column?.asText ?? false, type: undefined});
        return {column: column ? `c${column.number}` : `g${position}`, isNew: !column};
      }
      return {column: column ? `c${column.number}` : `g${position}`, isNew: false};
    });
    const base = nameOf('base', state.index);
    await session.query('BEGIN');
    for (const {column} of names.filter(({isNew}) => isNew)) {
      for (const table of [base, nameOf('rows', state.index)])
        await session.query(`ALTER TABLE ${table} ADD COLUMN ${column} text`);
    }
    // Emptied in this transaction, the rows may be visible from the start and need no second writing.
    if (isFirst) await session.query(`TRUNCATE ${base}`);
    await session.query('SET TRANSACTION READ ONLY');
    const options = [...(isFirst ? ['FREEZE'] : []), `ENCODING ${quoteLiteral(encoding)}`];
    const hash = state.only === undefined ? [] : [hashColumn];
    const columns = ['line', ...names.map(({column}) => column), ...hash];
    const where = state.only === undefined ? '' : ` WHERE ${state.only}`;
    return beginCopy(
      session,
      `COPY ${base} (${columns.join(', ')}) FROM STDIN (${options.join(', ')})${where}`,
    );
  }

  /** Ends the statement that runs and reads back what it brought. */
  private async complete(): Promise<void> {
    const {running, session} = this;
    if (!running) return;
    const {load, input} = running;
    const {wanted} = load.state;
    try {
      await input.end();
    } catch (error) {
      throw explainRefusal(error, wanted);
    } finally {
      this.running = undefined;
    }
    const source = wanted.sources.find(
      ({schema, name}) => schema === load.copy.schema && name === load.copy.name,
    );
    const {fingerprint, sameTypes} = source ?? {};
    const isExact = wanted.target.columns.every(
      ({name}) => !load.copy.columns.includes(name) || sameTypes?.has(name) === true,
    );
    if (!isExact) await this.readBack(load);
    const label = qualifiedName(load.copy);
    if (typeof fingerprint === 'string' && fingerprint !== fingerprintText(load.sum)) {
      throw new AppError(
        'VERIFY_FAILED',
        `The backup does not contain the rows of ${label} that its metadata names. Nothing was changed.`,
        {hint: 'Use another backup; destino-db verify shows what is damaged.'},
      );
    }
    await session.query('COMMIT');
  }

  /** @throws COLUMN_TYPE_CHANGED where the server prints other values than it was sent */
  private async readBack(load: Load): Promise<void> {
    const {session} = this;
    const {wanted, index, columns, only} = load.state;
    const names = load.copy.columns.map((name) => {
      const column = wanted.target.columns.find((each) => each.name === name);
      return column ? `c${column.number}` : `g${columns.findIndex((each) => each.name === name)}`;
    });
    const sum = createRowHashSum();
    const from = `FROM ${nameOf('base', index)} WHERE line >= ${load.firstLine}`;
    await copyOut(
      session,
      `COPY (SELECT ${names.join(', ')} ${from}) TO STDOUT (ENCODING ${quoteLiteral(load.encoding)})`,
      (chunk) => takeRows(chunk, sum),
    );
    const label = qualifiedName(load.copy);
    const sent = only === undefined ? fingerprintText(load.sent) : await sumOfHashes(session, from);
    const isWhole = only !== undefined || sum.rows === load.sent.rows;
    if (!isWhole || fingerprintText(sum) !== sent) {
      throw new AppError(
        'COLUMN_TYPE_CHANGED',
        `Values of ${label} read differently in the types that its columns have now. Nothing was changed.`,
        {hint: 'Restore the backup into a database of its own, and convert the values there.'},
      );
    }
  }
}

const hashColumn = 'destino_hash';

/** SQL: which rows are staged where keys name them: the server compares the text that it prints for their keys. */
function onlyKeys({target, onlyKeys: keys = []}: WantedTable): string | undefined {
  const key = keyOf(target);
  if (keys.length === 0 || key.length === 0) return undefined;
  return `${keyText(key, '')} = ANY (ARRAY[${keys.map(quoteLiteral).join(', ')}]::text[])`;
}

/** The fingerprint of the rows that the server kept, by the hashes that came with them. */
async function sumOfHashes(session: Session, from: string): Promise<string> {
  const rows = await session.query(`SELECT ${hashColumn} AS hash ${from}`);
  return rows.reduce(
    (sum, {hash}) => joinFingerprints(sum, `${fingerprintPrefix}${hash ?? ''}`),
    fingerprintText(createRowHashSum()),
  );
}

/** The quoted name of a temporary table. */
function nameOf(kind: 'base' | 'rows' | 'planned' | 'waits', index: number): string {
  return `pg_temp.${quoteIdentifier(`destino_${kind}_${index}`)}`;
}

/** The error for a table whose rows the backup lacks. */
export function notInBackup(table: string, backup: string): AppError {
  return new AppError(
    'TABLE_NOT_IN_BACKUP',
    `The backup ${backup} contains no rows of ${table}. Nothing was changed.`,
    {hint: 'destino-db list --verbose shows what backups contain.'},
  );
}

/** Explains the server's refusal of a value. */
function explainRefusal(error: unknown, {target, rules}: WantedTable): unknown {
  if (!hasSqlState(error, '22', '23514', '23502')) return error;
  const {cause} = error;
  const where = cause instanceof Error && 'where' in cause ? String(cause.where) : '';
  const number = Number(/\bc(\d+)\b/.exec(where)?.[1] ?? 0);
  const column = target.columns.find((each) => each.number === number);
  const name = `${qualifiedName(target)}${column ? `.${column.name}` : ''}`;
  const details = [error.message];
  const isDomain = hasSqlState(error, '23514', '23502');
  if (isDomain)
    return new AppError(
      'DOMAIN_VIOLATED',
      `The domain of a column of ${name} refuses a value of the backup. Nothing was changed.`,
      {details, cause: error},
    );
  if (systemErrorCode(cause) === '22P02' && rules.enums.includes(number))
    return new AppError(
      'ENUM_LABEL_GONE',
      `The enum of ${name} no longer has a label that rows of the backup use. Nothing was changed.`,
      {
        hint: 'Add the label while the rows are restored (ALTER TYPE ... ADD VALUE), or restore the backup into a database of its own.',
        details,
        cause: error,
      },
    );
  return new AppError(
    'COLUMN_TYPE_CHANGED',
    `The server cannot read a value of the backup as the type that ${name} has now. Nothing was changed.`,
    {details, cause: error},
  );
}
