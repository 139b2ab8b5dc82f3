/** Password hashes are signs of personal data in every row. */
import {expect, it} from 'vitest';
import {findPersonalByDump} from '../../../src/lib/masks/find-personal.js';

function secretsIn(value: string): number {
  const finder = findPersonalByDump([], {columns: [], emptied: []});
  const taker = finder.takerOf({schema: 'public', name: 'thing', columns: ['value']}, 'UTF8');
  const row = Buffer.from(value);
  taker?.add(row, 0, row.length);
  const kinds = finder.found().columns.flatMap((column) => column.kinds);
  return kinds.filter(({kind}) => kind === 'secret').length;
}

it.each([
  '$2b$12$abcdefghijklmnopqrstuv',
  '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ',
  '$6$rounds=5000$saltsalt$abcdef',
  '$1$saltsalt$abcdefghijklmnopqrstuv',
  '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC',
  '$P$B55D6LjfHDkINU5wF.v2BuuzO0/XPk/',
  'pbkdf2_sha256$260000$saltsaltsalt$abcdefghijklmnop=',
  'pbkdf2:sha256:600000$saltsalt$0123456789abcdef',
  'scrypt:32768:8:1$saltsalt$0123456789abcdef0123',
  'SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVk:c2VydmVy',
])('%s', (value) => {
  expect(secretsIn(`x ${value} y`)).toBe(1);
});

it.each(['costs $1$', 'from $1$ to $2$ and more', '$S$', 'pbkdf2_sha256', 'scrypt: 5$', 'SELECT $1, $2'])(
  'not %s',
  (value) => {
    expect(secretsIn(value)).toBe(0);
  },
);
