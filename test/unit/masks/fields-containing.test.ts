/** Fields with one of the characters are found in any division of the rows into pieces, and no others are passed on. */
import {describe, expect, it} from 'vitest';
import {FieldsContaining} from '../../../src/lib/masks/fields-containing.js';
import {takeRows} from '../../../src/lib/postgres/take-rows.js';

const characters = [...'@$J'].map((each) => each.charCodeAt(0));

interface Found {
  /** "row.column: field" in the order of the calls. */
  readonly fields: string[];
  readonly hasFirst: boolean;
}

function find(text: string, columns: readonly boolean[], pieceBytes: number): Found {
  const fields: string[] = [];
  let row = 0;
  const taker = new FieldsContaining(
    characters,
    columns,
    (field, column) => fields.push(`${row}.${column}: ${field.toString()}`),
    () => row++,
  );
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += pieceBytes)
    takeRows(Buffer.from(all.subarray(at, at + pieceBytes)), taker);
  expect(row).toBe(text.split('\n').length - 1);
  return {fields, hasFirst: taker.hasFirst};
}

const rows = ['a@b\tplain\tx', '\t\t', 'no\tcost $2 @\tJ', '$@\t\\N\t@', 'z\tz\tz', '', 'é@\té\té$', '']
  .map((row) => `${row}\n`)
  .join('');

describe.each([1, 2, 3, 5, 7, 16, 1000])('in pieces of %i bytes', (pieceBytes) => {
  it('each field of a wanted column that contains a character is passed on once', () => {
    expect(find(rows, [true, false, true], pieceBytes)).toEqual({
      fields: ['0.0: a@b', '2.2: J', '3.0: $@', '3.2: @', '6.0: é@', '6.2: é$'],
      hasFirst: true,
    });
  });

  it('the first character counts in a column that is not wanted, also behind another one', () => {
    expect(find('a\tb $ @\n', [true, false], pieceBytes)).toEqual({fields: [], hasFirst: true});
    expect(find('a\tb $ J\n', [true, true], pieceBytes)).toEqual({
      fields: ['0.1: b $ J'],
      hasFirst: false,
    });
  });
});

it('a buffer may be filled again', () => {
  const found: string[] = [];
  const taker = new FieldsContaining(
    characters,
    [true],
    (field) => found.push(field.toString()),
    () => undefined,
  );
  const buffer = Buffer.from('abc\n');
  takeRows(buffer, taker);
  buffer.write('a@c');
  takeRows(buffer, taker);
  expect(found).toEqual(['a@c']);
});

describe('a field of several pieces', () => {
  const word = 'anna@mail.example';

  it.each([0, 100, 250_000, 262_136, 262_144, 270_000, 524_280, 1_000_000])(
    'shows a text whole that begins at byte %i, in its column',
    (before) => {
      const {fields} = find(
        `a\t${'x'.repeat(before)}${word}${'y'.repeat(300_000)}\tJ\n`,
        [true, true, true],
        65_536,
      );
      expect(fields.some((field) => field.startsWith('0.1: ') && field.includes(word))).toBe(true);
      expect(fields.at(-1)).toBe('0.2: J');
    },
  );

  // Of 4 pieces, the last 16 KB are searched again with the next ones.
  it.each([-1, 0, 1])(
    'is in its column after a tab %i bytes from the bytes that are searched twice',
    (from) => {
      const before = 'x'.repeat(4 * 65_536 - 16_384 + from);
      const {fields} = find(`${before}\t${word}${'y'.repeat(300_000)}\tJ\n`, [true, true, true], 65_536);
      expect(new Set(fields.map((field) => field.slice(0, 6)))).toEqual(new Set(['0.1: a', '0.2: J']));
    },
  );

  it('takes little memory', () => {
    let most = 0;
    const taker = new FieldsContaining(
      characters,
      [true],
      (field) => (most = Math.max(most, field.length)),
      () => undefined,
    );
    for (let piece = 0; piece < 100; piece++) takeRows(Buffer.from(`@${'x'.repeat(65_535)}`), taker);
    takeRows(Buffer.from('\n'), taker);
    expect(most).toBeLessThan(400_000);
  });
});
