/** Reads the order backups of the old scripts: one JSON object with seven arrays, made by JavaScript. */
import {isUtf8} from 'node:buffer';
import {readFile} from 'node:fs/promises';
import {z} from 'zod';
import {
  JsonTextError,
  type JsonMember,
  jsonElements,
  jsonMembers,
  memberName,
  openBracket,
  skipSpace,
} from './json-scanner.js';
import {type FileTable, type OrderFile, type OrderFileSink, orderWords} from './order-file.js';
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

/** Losses from JavaScript when these files were written. No restore can undo them. */
const losses = [
  'The old scripts wrote this file. Its values are restored as they are in it, which is not always as they were.',
  'Timestamps have milliseconds only; infinity, BC and years beyond 9999 were written as null.',
  'A JSON null in a json column looks like SQL NULL and is restored as SQL NULL.',
  'Numbers inside json went through JavaScript: above 2^53 they are rounded, 1.10 is 1.1, 1e400 is null; a key "__proto__" is gone.',
];

/**
 * One `JSON.stringify` made such a file, whose result is at most 512 Mi characters: it fits into one buffer.
 * @param schema the schema of the shop's tables
 * @throws ORDER_BACKUP_INVALID with the position and the fault, BACKUP_NOT_FOUND, READ_FAILED
 */
export async function readOldScriptOrders(
  path: string,
  schema: string,
  signal?: AbortSignal,
): Promise<OrderFile> {
  const text = await readFile(path, {signal}).catch((error: unknown) => {
    throw explainReadError(error, path);
  });
  const {parts, survey} = inspect(path, text);
  const metadata = survey.check(path);
  // The flat arrays contain every row once; nested copies are used only where a flat array is missing.
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
  const filled = tables.filter(({rows}) => rows > 0);
  return {
    kind: 'order-backup',
    words: orderWords,
    path,
    isFromOldScripts: true,
    timestamp: metadata.timestamp,
    database: undefined,
    roots: rootArrays.map((name) => `${schema}.${arrays[name]?.table ?? ''}`),
    tables: filled,
    relinked: [],
    notes: [...losses, ...survey.notes],
    send: async (sink) => {
      const indexes = new Map(filled.map((table, index) => [table.name, index]));
      const sender = new Sender(text, sink, fromNested, (name) => indexes.get(arrays[name]?.table ?? ''));
      let drainedAt = 0;
      for (const {key, elements} of parts) {
        if (!elements || !arrayNames.includes(key)) continue;
        for (const {start, end} of elements) {
          sender.send(key, start, end, true);
          if (end - drainedAt < pieceBytes) continue;
          signal?.throwIfAborted();
          await sink.drain();
          drainedAt = end;
        }
      }
      await sink.drain();
    },
  };
}

/** How much of the file is handed over at a time. */
const pieceBytes = 1 << 20;

/** A member of the file's object; the elements of one that is an array. */
interface Part {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly elements: readonly {readonly start: number; readonly end: number}[] | undefined;
}

/** @throws ORDER_BACKUP_INVALID */
function inspect(path: string, text: Buffer): {parts: readonly Part[]; survey: Survey} {
  try {
    const parts = partsOf(text);
    const survey = new Survey(text);
    for (const part of parts) survey.take(part);
    return {parts, survey};
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    const what = error.at >= text.length ? 'the file ends too early' : error.message;
    throw invalidOrderFile(path, `at byte ${error.at}`, what);
  }
}

function partsOf(text: Buffer): Part[] {
  const {members, end} = jsonMembers(text, skipSpace(text, 0));
  const rest = skipSpace(text, end);
  if (rest < text.length) throw new JsonTextError(rest, 'something follows after the end');
  return members.map((member) => {
    const {valueStart: start, valueEnd} = member;
    const elements = text[start] === openBracket ? jsonElements(text, start) : undefined;
    return {key: memberName(text, member), start, end: valueEnd, elements};
  });
}

interface Counted {
  rows: number;
  fields: readonly string[];
}

/** Checks the members of the file and counts. */
class Survey {
  readonly seen = new Set<string>();
  readonly flat = new Map<string, Counted>();
  readonly nested = new Map<string, Counted>();
  readonly notes: string[] = [];
  private metadata: string | undefined;

  constructor(private readonly text: Buffer) {}

  take({key, start, end, elements}: Part): void {
    if (this.seen.has(key)) throw new JsonTextError(start, `"${key}" occurs twice`);
    this.seen.add(key);
    const isRows = arrayNames.includes(key);
    if (isRows ? !elements : key === 'metadata' && elements)
      throw new JsonTextError(start, `"${key}" has the wrong type`);
    if (key === 'metadata') this.metadata = this.text.toString('utf8', start, end);
    else if (!isRows) this.notes.push(`The file contains "${key}", which is not used.`);
    for (const element of isRows ? (elements ?? []) : []) {
      if (!isUtf8(this.text.subarray(element.start, element.end)))
        throw new JsonTextError(element.start, 'a row is not UTF-8');
      this.count(this.flat, key, element.start);
    }
  }

  /** @throws ORDER_BACKUP_INVALID when parts are missing or the counts do not agree */
  check(path: string): z.infer<typeof oldMetadata> {
    const missing = [...rootArrays, 'metadata'].filter((name) => !this.seen.has(name));
    if (missing.length > 0) {
      throw invalidOrderFile(
        path,
        'as a whole',
        `it is not an order backup, because it has no ${missing.join(', ')}`,
      );
    }
    let data: unknown;
    try {
      data = JSON.parse(this.metadata ?? '');
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
        `it contains ${total} rows, but ${parsed.data.totalRecords} were written`,
      );
    }
    return parsed.data;
  }

  private count(counts: Map<string, Counted>, name: string, start: number): void {
    const {text} = this;
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
      for (const element of elements) this.count(this.nested, target, element.start);
    }
  }
}

/** Hands the rows over: those of the flat arrays, and of nested ones whose flat array is missing. */
class Sender {
  private rows = 0;

  constructor(
    private readonly text: Buffer,
    private readonly sink: OrderFileSink,
    private readonly fromNested: ReadonlySet<string>,
    private readonly indexOf: (array: string) => number | undefined,
  ) {}

  send(name: string, start: number, end: number, isWanted: boolean): void {
    const {text} = this;
    const table = this.indexOf(name);
    if (isWanted && table !== undefined) this.sink.row(table, ++this.rows, text, start, end, true);
    if (this.fromNested.size === 0) return;
    for (const {target, elements} of nestedRows(text, jsonMembers(text, start).members, name)) {
      for (const element of elements)
        this.send(target, element.start, element.end, this.fromNested.has(target));
    }
  }
}

/** A row's members and the names of those that are columns. */
function readRow(text: Buffer, start: number, name: string): {members: JsonMember[]; fields: string[]} {
  const {members} = jsonMembers(text, start);
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
