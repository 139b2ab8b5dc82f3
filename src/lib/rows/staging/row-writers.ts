/** Makes the columns of a COPY out of the lines of an order backup, in parts where they are long. */
import type {ColumnForm, CopyText} from './copy-text.js';
import {type JsonMember, jsonMembers, JsonTextError, memberName} from '../file/json-scanner.js';
import type {StagedField, StagedTable} from './staged-table.js';

/** The JSON text of a row, `json[start..end)`, or a part of it. */
export interface RowPart {
  readonly line: number;
  readonly json: Buffer;
  readonly start: number;
  readonly end: number;
  readonly isLast: boolean;
}

/** Makes one row of a COPY, but for its end; returns the position up to which the part was taken. */
export interface RowWriter {
  take(copy: CopyText, part: RowPart): number;
}

/** A value that is not a string: of a number `CopyText` takes parts too. */
const longestWord = 'false'.length;

/** Rows as the server wrote them: the columns in the order of the metadata, and no spaces. */
export class LayoutRows implements RowWriter {
  private readonly steps: readonly {readonly before: Buffer; readonly form: ColumnForm}[];
  private readonly after: Buffer;
  /** The column that comes next. */
  private step = 0;

  constructor(fields: readonly StagedField[]) {
    this.steps = fields.map(({name, form}, index) => ({
      before: Buffer.from(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
      form,
    }));
    this.after = Buffer.from(fields.length === 0 ? '{}' : '}');
  }

  take(copy: CopyText, part: RowPart): number {
    if (copy.line !== part.line) {
      copy.begin(part.line);
      this.restart();
    }
    return this.goOn(copy, part);
  }

  /** The first column comes next. */
  restart(): void {
    this.step = 0;
  }

  /** Takes what follows the columns that were taken. */
  goOn(copy: CopyText, {json, start, end, isLast}: RowPart): number {
    copy.reserve(end - start, this.steps.length);
    let at = start;
    for (;;) {
      at = copy.rest(json, at, end, isLast);
      if (copy.isOpen && !isLast) return at;
      const step = this.steps[this.step];
      if (!step) break;
      if (!isLast && end - at < step.before.length + longestWord) return at;
      at = copy.open(json, expect(json, at, step.before), step.form);
      this.step += 1;
    }
    if (!isLast) return at;
    if (copy.isOpen || expect(json, at, this.after) !== end)
      throw new JsonTextError(at, 'something follows after its end');
    return end;
  }
}

/** The position after `text`, which must stand at `at`. */
function expect(json: Buffer, at: number, text: Buffer): number {
  const {length} = text;
  for (let index = 0; index < length; index++) {
    if (json[at + index] !== text[index]) throw new JsonTextError(at, `${text.toString()} was expected`);
  }
  return at + length;
}

/** Rows whose members may be in any order; each is read as a whole. */
export class MemberRows implements RowWriter {
  constructor(private readonly fields: readonly StagedField[]) {}

  take(copy: CopyText, {line, json, start, end}: RowPart): number {
    copy.begin(line);
    copy.reserve(end - start, this.fields.length);
    writeMembers(copy, json, jsonMembers(json, start).members, this.fields);
    return end;
  }
}

const beforeKey = Buffer.from('"key":');
const beforeValues = Buffer.from(',"values":');

/** Links: the members of the key may be in any order, as they are seen at once. */
export class LinkRows implements RowWriter {
  private readonly keyFields: readonly StagedField[];
  private readonly values: LayoutRows;

  constructor({keyFields, fields}: StagedTable) {
    this.keyFields = keyFields;
    this.values = new LayoutRows(fields);
  }

  take(copy: CopyText, part: RowPart): number {
    if (copy.line === part.line) return this.values.goOn(copy, part);
    const json = part.json.subarray(0, part.end);
    let members: JsonMember[];
    let start: number;
    try {
      const key = jsonMembers(json, expect(json, part.start, beforeKey));
      members = key.members;
      start = expect(json, key.end, beforeValues);
    } catch (error) {
      if (part.isLast || !(error instanceof JsonTextError)) throw error;
      return part.start; // the key goes on
    }
    copy.begin(part.line);
    copy.reserve(start - part.start, this.keyFields.length);
    writeMembers(copy, json, members, this.keyFields);
    this.values.restart();
    return this.values.goOn(copy, {...part, start});
  }
}

function writeMembers(
  copy: CopyText,
  json: Buffer,
  members: readonly JsonMember[],
  fields: readonly StagedField[],
): void {
  const starts = new Map(members.map((member) => [memberName(json, member), member.valueStart]));
  for (const {name, form} of fields) {
    const at = starts.get(name);
    if (at === undefined) copy.null();
    else copy.value(json, at, form);
  }
}
