/** Reads the order backups of orders:clean and checks them: structure, counts and checksums of every table. */
import {isUtf8} from 'node:buffer';
import {qualifiedName} from '../../base/qualified-name.js';
import {createRowHashSum, type RowHashSum} from '../../fingerprint/row-hash.js';
import type {AppError} from '../../base/errors.js';
import {readLines} from './line-reader.js';
import {type FileTable, type OrderFile, type OrderFileSink, wordsOf} from './order-file.js';
import {invalidOrderFile} from './order-file-error.js';
import {
  relinkedLinePrefix,
  rowLinePrefix,
  snapshotMarks,
  type SnapshotMetadata,
  snapshotMetadata,
  type SnapshotTable,
} from './format.js';
import {someOf} from '../../base/some-of.js';

/**
 * Reads the whole file once.
 * @throws ORDER_BACKUP_INVALID naming the line and what is wrong, BACKUP_NOT_FOUND, READ_FAILED
 */
export async function readOrderSnapshot(path: string, signal?: AbortSignal): Promise<OrderFile> {
  const metadata = await scan(path, undefined, signal);
  return {
    kind: metadata.kind,
    transaction: metadata.kind === 'row-undo' ? metadata.transaction : undefined,
    words: wordsOf(metadata.kind),
    path,
    isFromOldScripts: false,
    timestamp: metadata.timestamp,
    database: {name: metadata.database.name, systemIdentifier: metadata.database.systemIdentifier},
    roots: Object.keys(rootsOf(metadata)),
    tables: metadata.tables.map(fileTable),
    relinked: metadata.relinked.map(fileTable),
    notes: [],
    send: async (sink) => {
      const again = await scan(path, sink, signal);
      if (JSON.stringify(again) !== JSON.stringify(metadata)) {
        throw invalidOrderFile(path, 'line 1', 'it was changed while it was being read');
      }
    },
  };
}

function rootsOf(metadata: SnapshotMetadata): Readonly<Record<string, number>> {
  return metadata.kind === 'order-backup' ? metadata.roots : {};
}

function fileTable({table, schema, name, rows, checksum, columns, key}: SnapshotTable): FileTable {
  return {table, schema, name, rows, checksum, columns, key};
}

async function scan(
  path: string,
  sink: OrderFileSink | undefined,
  signal?: AbortSignal,
): Promise<SnapshotMetadata> {
  const scanner = new SnapshotScanner(path, sink);
  await readLines(path, scanner, signal);
  return scanner.finish();
}

/** A run of lines that belong to one table. */
interface Section {
  readonly table: SnapshotTable;
  readonly prefix: Buffer;
  readonly sum: RowHashSum;
}

/** A line, or what there is of it. */
interface LinePart {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly isLast: boolean;
}

/** Bytes that can stand behind the text of an entry: a brace, and a comma; and the brace that ends the text. */
const longestEntryEnd = 3;

type Place = 'metadata' | 'rows' | 'row lines' | 'relinked' | 'link lines' | 'end';

const comma = 0x2c;
const closingBrace = 0x7d;
const openingBrace = 0x7b;
const lineOf = (mark: string): string => mark.replace(/\n$/, '');
const [endOfRows = '', beginOfLinks = ''] = snapshotMarks.beforeRelinked.split('\n');

class SnapshotScanner {
  private place: Place = 'metadata';
  private metadata: SnapshotMetadata | undefined;
  private rowSections: Section[] = [];
  private linkSections: Section[] = [];
  /** Index of the section that the next line may belong to. */
  private current = 0;
  private hasComma = true;
  /** The line of which a part was read. */
  private openLine = 0;
  private lastLine = 0;

  constructor(
    private readonly path: string,
    private readonly sink: OrderFileSink | undefined,
  ) {}

  drain(): Promise<void> {
    return this.sink?.drain() ?? Promise.resolve();
  }

  unfinished(line: number, bytes: number): never {
    throw this.invalid(line, `the file ends inside a line, or the line is too long (${bytes} bytes)`);
  }

  line(buffer: Buffer, start: number, end: number, line: number, isLast: boolean): number {
    this.lastLine = line;
    const isEntry = line === this.openLine || buffer[start] === openingBrace;
    if (isEntry && this.place === 'row lines')
      return this.readEntry(this.rowSections, {buffer, start, end, line, isLast});
    if (isEntry && this.place === 'link lines')
      return this.readEntry(this.linkSections, {buffer, start, end, line, isLast});
    if (this.place === 'metadata' && !isLast) return start;
    this.takeWhole(buffer, start, end, line);
    return end;
  }

  private takeWhole(buffer: Buffer, start: number, end: number, line: number): void {
    switch (this.place) {
      case 'metadata':
        this.readMetadata(buffer.subarray(start, end));
        this.place = 'rows';
        return;
      case 'rows':
        this.expect(buffer, start, end, line, lineOf(snapshotMarks.beforeRows));
        this.place = 'row lines';
        return;
      case 'row lines':
        this.endOfList(this.rowSections, line);
        this.expect(buffer, start, end, line, endOfRows);
        this.place = 'relinked';
        return;
      case 'relinked':
        this.expect(buffer, start, end, line, beginOfLinks);
        this.place = 'link lines';
        this.current = 0;
        this.hasComma = true;
        return;
      case 'link lines':
        this.endOfList(this.linkSections, line);
        this.expect(buffer, start, end, line, lineOf(snapshotMarks.end));
        this.place = 'end';
        return;
      case 'end':
        throw this.invalid(line, 'something follows after the end');
    }
  }

  finish(): SnapshotMetadata {
    if (this.place !== 'end' || !this.metadata) {
      throw this.invalid(this.lastLine + 1, 'the file ends too early');
    }
    return this.metadata;
  }

  private readMetadata(text: Buffer): void {
    const {beforeMetadata} = snapshotMarks;
    if (!isUtf8(text) || text.indexOf(beforeMetadata) !== 0 || text.at(-1) !== comma) {
      throw this.invalid(1, `it does not begin with ${beforeMetadata} or does not end in a comma`);
    }
    let data: unknown;
    try {
      data = JSON.parse(
        text.toString('utf8', beforeMetadata.length, text.length - 1),
        (key, value: unknown) => {
          if (key === '__proto__') throw new Error('it has a key "__proto__"');
          return value;
        },
      );
    } catch (error) {
      throw this.invalid(
        1,
        `the metadata cannot be read (${error instanceof Error ? error.message : String(error)})`,
      );
    }
    const parsed = snapshotMetadata.safeParse(data);
    if (!parsed.success) {
      const problems = parsed.error.issues.map(
        (issue) => `${issue.path.map(String).join('.')}: ${issue.message}`,
      );
      throw this.invalid(1, `the metadata is wrong (${someOf(problems, 5).join('; ')})`);
    }
    this.metadata = parsed.data;
    this.checkMetadata(parsed.data);
    const sections = (tables: readonly SnapshotTable[], prefix: (table: string) => string): Section[] =>
      tables.map((table) => ({table, prefix: Buffer.from(prefix(table.table)), sum: createRowHashSum()}));
    this.rowSections = sections(parsed.data.tables, rowLinePrefix);
    this.linkSections = sections(parsed.data.relinked, relinkedLinePrefix);
  }

  /** Facts that are twice in the metadata must agree. */
  private checkMetadata(metadata: SnapshotMetadata): void {
    for (const tables of [metadata.tables, metadata.relinked]) {
      const names = new Set(tables.map((table) => table.table));
      if (names.size < tables.length) throw this.invalid(1, 'the metadata names a table twice');
      for (const {table, schema, name, columns, key} of tables) {
        const columnNames = new Set(columns.map((column) => column.name));
        if (table !== qualifiedName({schema, name}))
          throw this.invalid(1, `the metadata names a table "${table}" in two ways`);
        if (columnNames.size < columns.length)
          throw this.invalid(1, `the metadata names a column of ${table} twice`);
        const lost = tables === metadata.tables ? key.find((column) => !columnNames.has(column)) : undefined;
        if (lost !== undefined)
          throw this.invalid(1, `the key of ${table} names an unknown column "${lost}"`);
        if (tables === metadata.relinked && key.length === 0)
          throw this.invalid(1, `${table} has links but no key`);
      }
    }
    const total = metadata.tables.reduce((sum, table) => sum + table.rows, 0);
    if (total !== metadata.totalRows) {
      throw this.invalid(1, `totalRows is ${metadata.totalRows}, but the tables add up to ${total}`);
    }
    for (const [root, count] of Object.entries(rootsOf(metadata))) {
      const rows = metadata.tables.find((table) => table.table === root)?.rows ?? 0;
      if (rows < count) throw this.invalid(1, `${count} orders of ${root} are announced, but ${rows} rows`);
    }
  }

  /** A line of a list, or a part of one; returns the position up to which it was taken. */
  private readEntry(sections: Section[], {buffer, start, end, line, isLast}: LinePart): number {
    const isFirst = line !== this.openLine;
    this.openLine = line;
    let section = sections[this.current];
    let textStart = start;
    if (isFirst) {
      if (!this.hasComma) throw this.invalid(line, 'the line before has no comma at its end');
      section = this.sectionOf(sections, buffer, start, end, line);
      textStart = start + section.prefix.length;
    }
    if (!section) throw this.invalid(line, 'the line is cut');
    let textEnd = end - longestEntryEnd;
    if (isLast) {
      this.hasComma = buffer[end - 1] === comma;
      textEnd = this.hasComma ? end - 2 : end - 1;
      if (textEnd <= textStart || buffer[textEnd] !== closingBrace || buffer[textEnd - 1] !== closingBrace)
        throw this.invalid(line, 'the line is cut');
    }
    const kind = sections === this.rowSections ? 'row' : 'link';
    const taken = this.sink?.[kind](this.current, line, buffer, textStart, textEnd, isLast) ?? textEnd;
    if (isFirst && !isLast && taken === textStart) {
      this.openLine = 0; // it comes again from its beginning
      return start;
    }
    section.sum.append(buffer, textStart, taken);
    if (!isLast) return taken;
    section.sum.endRow();
    if (section.sum.rows > section.table.rows) {
      throw this.invalid(
        line,
        `${section.table.table} has more rows than the ${section.table.rows} that were written`,
      );
    }
    return end;
  }

  /** The section a line belongs to; sections follow each other in the order of the metadata. */
  private sectionOf(sections: Section[], buffer: Buffer, start: number, end: number, line: number): Section {
    for (let index = this.current; index < sections.length; index++) {
      const section = sections[index];
      if (!section) break;
      const {prefix} = section;
      if (end - start > prefix.length && prefix.compare(buffer, start, start + prefix.length) === 0) {
        for (; this.current < index; this.current++) this.closeSection(sections[this.current], line);
        return section;
      }
    }
    const head = buffer.toString('utf8', start, Math.min(end, start + 80));
    throw this.invalid(
      line,
      `the line is not a row of a table that may stand here (${JSON.stringify(head)})`,
    );
  }

  private endOfList(sections: Section[], line: number): void {
    if (this.hasComma && sections.some((section) => section.sum.rows > 0)) {
      throw this.invalid(line, 'rows are missing: the line before ends in a comma');
    }
    for (const section of sections.slice(this.current)) this.closeSection(section, line);
  }

  private closeSection(section: Section | undefined, line: number): void {
    if (!section) return;
    const {table, sum} = section;
    if (sum.rows !== table.rows) {
      throw this.invalid(line, `${table.table} has ${sum.rows} rows, but ${table.rows} were written`);
    }
    if (sum.digest() !== table.checksum) {
      throw this.invalid(
        line,
        `the rows of ${table.table} before this line are not those that were written (their checksum differs)`,
      );
    }
  }

  private expect(buffer: Buffer, start: number, end: number, line: number, expected: string): void {
    const found = buffer.toString('utf8', start, Math.min(end, start + 80));
    if (end - start !== expected.length || found !== expected) {
      throw this.invalid(line, `expected ${expected} but found ${JSON.stringify(found)}`);
    }
  }

  private invalid(line: number, what: string): AppError {
    return invalidOrderFile(this.path, `line ${line}`, what);
  }
}
