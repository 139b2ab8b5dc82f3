/** Tables on terminals: one way of breaking them, no word broken, no column lost. */
import {describe, expect, it} from 'vitest';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {table} from '../../../../src/lib/cli/show/table.js';
import {wrapWords} from '../../../../src/lib/cli/show/wrap-words.js';

const plain = (width?: number) => createStyle(true, {NO_COLOR: '1'}, false, width);
const head = ['ID', 'SIZE', 'DATABASE', 'WHY IT IS KEPT'];
const rows = [
  ['shop-1', '1.3 GB', 'shop', 'the newest of this week'],
  ['shop-2', '980 MB', 'shop', '-'],
];
const options = {head, right: [1]};

describe('a table with a head', () => {
  it('has its columns two spaces apart where it fits', () => {
    expect(table(rows, plain(60), options)).toEqual([
      'ID        SIZE  DATABASE  WHY IT IS KEPT',
      'shop-1  1.3 GB  shop      the newest of this week',
      'shop-2  980 MB  shop      -',
    ]);
    expect(table(rows, plain(), options)).toEqual(table(rows, plain(60), options));
  });

  it('breaks texts between words within their column', () => {
    expect(table(rows, plain(45), options)).toEqual([
      'ID        SIZE  DATABASE  WHY IT IS KEPT',
      'shop-1  1.3 GB  shop      the newest of this',
      '                          week',
      'shop-2  980 MB  shop      -',
    ]);
  });

  it('moves columns below the others, the head too, where that is not enough', () => {
    expect(table(rows, plain(34), options)).toEqual([
      'ID        SIZE  DATABASE',
      '    WHY IT IS KEPT',
      'shop-1  1.3 GB  shop',
      '    the newest of this week',
      'shop-2  980 MB  shop',
      '    -',
    ]);
  });

  it('puts the columns of each row below each other on the narrowest', () => {
    const wide = rows.map((row) => [...row, 'db.example:543']);
    expect(table(wide, plain(30), {head: [...head, 'SERVER'], right: [1]})).toEqual([
      'ID              shop-1',
      'SIZE            1.3 GB',
      'DATABASE        shop',
      'WHY IT IS KEPT  the newest of',
      '                this week',
      'SERVER          db.example:543',
      '',
      'ID              shop-2',
      'SIZE            980 MB',
      'DATABASE        shop',
      'WHY IT IS KEPT  -',
      'SERVER          db.example:543',
    ]);
  });

  it('begins a value below its heading where a word of it is too wide beside it', () => {
    const key = '36525f49-498e-3554-68ca-6bb2d38ed573';
    expect(table([[key, key, 'NEW']], plain(38), {head: ['ORDER', 'PAYMENT', 'STATUS']})).toEqual([
      'ORDER',
      `  ${key}`,
      'PAYMENT',
      `  ${key}`,
      'STATUS   NEW',
    ]);
  });

  it.each([200, 120, 80, 60, 50, 40, 30, 24])('loses no word at %i columns', (width) => {
    const text = table(rows, plain(width), options).join(' ');
    for (const word of [...head, ...rows.flat()].flatMap((cell) => cell.split(' ')))
      expect(text).toContain(word);
  });
});

describe('labels and their texts', () => {
  it('stay aligned, a path whole', () => {
    const path = '/srv/shop/backups/database/shop-2026-11-25T02-00-04.dump';
    const facts = [
      ['file', path],
      ['content', 'the whole database, 1,975 rows'],
    ];
    expect(table(facts, plain(34), {indent: 2})).toEqual([
      `  file     ${path}`,
      '  content  the whole database,',
      '           1,975 rows',
    ]);
  });

  it('leave a command whole, what it is for below it', () => {
    const command = 'destino-db verify shop-2026-11-25T02-00-04';
    expect(table([[command, 'reads every row']], plain(45), {indent: 2})).toEqual([
      `  ${command}`,
      '      reads every row',
    ]);
  });
});

it('a colour ends at the end of each line, and goes on below', () => {
  const style = createStyle(true, {FORCE_COLOR: '1'}, false, 80);
  expect(wrapWords(style.red('one two three'), 7)).toEqual([style.red('one two'), style.red('three')]);
  expect(wrapWords(`${style.bold('one')} two three`, 7)).toEqual([`${style.bold('one')} two`, 'three']);
});
