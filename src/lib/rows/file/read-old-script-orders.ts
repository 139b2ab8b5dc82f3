/** Reads the order backups of the old scripts: one JSON object with seven arrays, made by JavaScript. */
import {isUtf8} from 'node:buffer';
import {createReadStream} from 'node:fs';
import {z} from 'zod';
import {
  JsonTextError,
  type JsonMember,
  jsonElements,
  jsonMembers,
  memberName,
  skipJsonValue,
} from './json-scanner.js';
import {TopLevelSplitter, type TopLevelTaker} from './json-top-level.js';
import type {FileTable, OrderFile, OrderFileSink} from './order-file.js';
import {explainReadError, invalidOrderFile} from './order-file-error.js';

/** The file's arrays: the table of each, and which arrays its objects repeat as members. */
const arrays: Readonly<Record<string, {table: string; nested: Readonly<Record<string, string>>}>> = {
  regularOrders: {
    table: 'orders',
    nested: {items: 'orderItems', payments: 'payments', emailAlerts: 'emailAlerts'},
  },
  cateringOrders: {table: 'catering_orders', nested: {items: 'cateringOrderItems'}},
  emailAlerts: {table: 'email_alerts', nested: {}},
  orderItems: {table: 'order_items', nested: {}},
  payments: {table: 'payments', nested: {refunds: 'refunds'}},
  refunds: {table: 'refunds', nested: {}},
  cateringOrderItems: {table: 'catering_order_items', nested: {}},
};
const arrayNames = Object.keys(arrays);
const rootArrays = ['regularOrders', 'cateringOrders'];

const oldMetadata = z.object({timestamp: z.string(), totalRecords: z.int().min(0)});

/** What JavaScript took away when these files were written (and what therefore nobody can give back). */
const losses = [
  'The old scripts wrote this file: the values come back as they stand in it, which is not always as they were.',
  'Timestamps have milliseconds only; infinity, BC and years beyond 9999 were written as null.',
  'A JSON null in a json column cannot be told from SQL NULL and comes back as SQL NULL.',
  'Numbers inside json went through JavaScript: above 2^53 they are rounded, 1.10 is 1.1, 1e400 is null; a key "__proto__" is gone.',
];

/**
 * Reads the whole file once, with memory bounded by its largest order.
 * @param schema the schema of the shop's tables
 * @throws ORDER_BACKUP_INVALID naming the place and what is wrong, BACKUP_NOT_FOUND, READ_FAILED
 */
export async function readOldScriptOrders(
  path: string,
  schema: string,
  signal?: AbortSignal,
): Promise<OrderFile> {
  const survey = new Survey();
  await split(path, survey, signal);
  const metadata = survey.check(path);
  // The flat arrays hold every row once; nested copies are used only where a flat array is missing.
  const fromNested = new Set(arrayNames.filter((name) => !survey.seen.has(name)));
  const tables: FileTable[] = [];
  for (const [name, {table}] of Object.entries(arrays)) {
    const counted = fromNested.has(name) ? survey.nested.get(name) : survey.flat.get(name);
    tables.push({
      table: `${schema}.${table}`,
      schema,
      name: table,
      rows: counted?.rows ?? 0,
      checksum: undefined,
      columns: (counted?.fields ?? []).map((field) => ({name: field, asText: false, type: undefined})),
      key: ['id'],
    });
  }
  return {
    path,
    isFromOldScripts: true,
    timestamp: metadata.timestamp,
    database: undefined,
    roots: rootArrays.map((name) => `${schema}.${arrays[name]?.table ?? ''}`),
    tables: tables.filter((table) => table.rows > 0),
    relinked: [],
    notes: [...losses, ...survey.notes],
    send: async (sink) => {
      const indexes = new Map(
        tables.filter((table) => table.rows > 0).map((table, index) => [table.name, index]),
      );
      const sender = new Sender(sink, fromNested, (name) => indexes.get(arrays[name]?.table ?? ''));
      await split(path, sender, signal, sink);
      const expected = tables.reduce((sum, table) => sum + table.rows, 0);
      if (sender.rows !== expected)
        throw invalidOrderFile(path, 'at its end', 'it was changed while it was being read');
    },
  };
}

async function split(
  path: string,
  taker: TopLevelTaker,
  signal: AbortSignal | undefined,
  sink?: OrderFileSink,
): Promise<void> {
  const stream = createReadStream(path, {highWaterMark: 1 << 20, ...(signal ? {signal} : {})});
  const splitter = new TopLevelSplitter(taker);
  try {
    for await (const chunk of stream) {
      splitter.feed(chunk as Buffer);
      await sink?.drain();
    }
    splitter.finish();
  } catch (error) {
    if (error instanceof JsonTextError) throw invalidOrderFile(path, `at byte ${error.at}`, error.message);
    throw explainReadError(error, path);
  } finally {
    stream.destroy();
  }
}

interface Counted {
  rows: number;
  fields: readonly string[];
}

/** Checks every value of the file and counts. */
class Survey implements TopLevelTaker {
  readonly seen = new Set<string>();
  readonly flat = new Map<string, Counted>();
  readonly nested = new Map<string, Counted>();
  readonly notes: string[] = [];
  private metadata: Buffer | undefined;

  member(key: string, value: Buffer | undefined, at: number): void {
    if (this.seen.has(key)) throw new JsonTextError(at, `"${key}" stands there twice`);
    this.seen.add(key);
    const isArray = value === undefined;
    if (arrayNames.includes(key) !== isArray) {
      if (arrayNames.includes(key) || key === 'metadata')
        throw new JsonTextError(at, `"${key}" has the wrong type`);
    }
    if (!arrayNames.includes(key) && key !== 'metadata')
      this.notes.push(`The file holds "${key}", which is not used.`);
    if (value) checkWhole(value, at);
    if (key === 'metadata') this.metadata = value;
  }

  element(key: string, value: Buffer, at: number): void {
    if (arrayNames.includes(key)) located(at, () => this.count(this.flat, key, value, 0));
    else checkWhole(value, at);
  }

  /** @throws ORDER_BACKUP_INVALID when parts are missing or the counts do not agree */
  check(path: string): z.infer<typeof oldMetadata> {
    const missing = [...rootArrays, 'metadata'].filter((name) => !this.seen.has(name));
    if (missing.length > 0) {
      throw invalidOrderFile(
        path,
        'as a whole',
        `it is no order backup, for it has no ${missing.join(', ')}`,
      );
    }
    let data: unknown;
    try {
      data = JSON.parse(this.metadata?.toString('utf8') ?? '');
    } catch {
      data = undefined; // refused below, like any other wrong metadata
    }
    const parsed = oldMetadata.safeParse(data);
    if (!parsed.success)
      throw invalidOrderFile(path, 'in "metadata"', 'timestamp or totalRecords is missing or wrong');
    let total = 0;
    for (const name of arrayNames) {
      const nested = this.nested.get(name)?.rows ?? 0;
      const rows = this.seen.has(name) ? (this.flat.get(name)?.rows ?? 0) : nested;
      if (nested > rows) {
        throw invalidOrderFile(
          path,
          `in "${name}"`,
          `${rows} rows are there, but the orders repeat ${nested} of them`,
        );
      }
      if (!this.seen.has(name))
        this.notes.push(`The file has no "${name}"; the copies inside the orders are used.`);
      total += rows;
    }
    if (total !== parsed.data.totalRecords) {
      throw invalidOrderFile(
        path,
        'as a whole',
        `it holds ${total} rows, but ${parsed.data.totalRecords} were written`,
      );
    }
    return parsed.data;
  }

  private count(counts: Map<string, Counted>, name: string, text: Buffer, start: number): void {
    const {members, fields} = readRow(text, start, name);
    const counted = counts.get(name);
    if (!counted) {
      counts.set(name, {rows: 1, fields});
    } else {
      counted.rows += 1;
      if (
        fields.length !== counted.fields.length ||
        fields.some((field, index) => field !== counted.fields[index])
      ) {
        throw new JsonTextError(start, `a row of "${name}" has other members than the first one`);
      }
    }
    for (const {target, elements} of nestedRows(text, members, name)) {
      for (const element of elements) this.count(this.nested, target, text, element.start);
    }
  }
}

/** Hands the rows over: those of the flat arrays, and of nested ones whose flat array is missing. */
class Sender implements TopLevelTaker {
  rows = 0;

  constructor(
    private readonly sink: OrderFileSink,
    private readonly fromNested: ReadonlySet<string>,
    private readonly indexOf: (array: string) => number | undefined,
  ) {}

  member(): void {
    // Checked by the survey.
  }

  element(key: string, value: Buffer, at: number): void {
    if (!arrayNames.includes(key)) return;
    located(at, () => this.send(key, value, 0, value.length, true));
  }

  private send(name: string, text: Buffer, start: number, end: number, isWanted: boolean): void {
    const table = this.indexOf(name);
    if (isWanted && table !== undefined) this.sink.row(table, ++this.rows, text, start, end, true);
    if (this.fromNested.size === 0) return;
    for (const {target, elements} of nestedRows(text, jsonMembers(text, start).members, name)) {
      for (const element of elements) {
        this.send(target, text, element.start, element.end, this.fromNested.has(target));
      }
    }
  }
}

/** A row's members and the names of those that are columns. */
function readRow(text: Buffer, start: number, name: string): {members: JsonMember[]; fields: string[]} {
  // The rows within a row were looked at with it.
  if (start === 0 && !isUtf8(text)) throw new JsonTextError(start, 'a row is not UTF-8');
  const {members, end} = jsonMembers(text, start);
  if (start === 0 && end !== text.length) throw new JsonTextError(end, 'something follows after a row');
  const fields = members.map((member) => memberName(text, member)).filter((field) => !isNested(name, field));
  if (new Set(fields).size < fields.length)
    throw new JsonTextError(start, `a row of "${name}" has a member twice`);
  if (!fields.includes('id')) throw new JsonTextError(start, `a row of "${name}" has no id`);
  return {members, fields};
}

function isNested(name: string, field: string): boolean {
  return Object.hasOwn(arrays[name]?.nested ?? {}, field);
}

function nestedRows(text: Buffer, members: readonly JsonMember[], name: string) {
  return members.flatMap((member) => {
    const field = memberName(text, member);
    const target = isNested(name, field) ? arrays[name]?.nested[field] : undefined;
    return target === undefined ? [] : [{target, elements: jsonElements(text, member.valueStart)}];
  });
}

function checkWhole(value: Buffer, at: number): void {
  located(at, () => {
    const end = skipJsonValue(value, 0);
    if (end !== value.length) throw new JsonTextError(end, 'something follows after a value');
  });
}

/** Turns positions inside a value into positions in the file. */
function located(at: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw error instanceof JsonTextError ? new JsonTextError(at + error.at, error.message) : error;
  }
}
