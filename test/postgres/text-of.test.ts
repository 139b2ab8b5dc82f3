import {afterAll, beforeAll, expect, it} from 'vitest';
import {textOf} from '../../src/lib/postgres/client-encoding.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
beforeAll(async () => {
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE FUNCTION text_of(bytes bytea, encoding text) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN RETURN convert_from(bytes, encoding); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;`);
});
afterAll(() => database.drop());

const ofOneByte = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((number) => `LATIN${number}`),
  ...[5, 6, 7, 8].map((number) => `ISO_8859_${number}`),
  ...[866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258].map((number) => `WIN${number}`),
  'KOI8R',
  'KOI8U',
];

it.each(ofOneByte)('reads names in %s as the server does', async (encoding) => {
  const rows = await database.query(
    `SELECT byte, text_of(set_byte('\\x00', 0, byte), '${encoding}') AS text FROM generate_series(160, 255) AS byte`,
  );
  const known = rows.filter(({text}) => text !== null);
  expect(known.length).toBeGreaterThan(40);
  expect(known.map(({byte}) => textOf(String.fromCharCode(Number(byte)), encoding))).toEqual(
    known.map(({text}) => text),
  );
});

it.each([
  ['EUC_JP', '売上'],
  ['EUC_JIS_2004', '売上'],
  ['EUC_KR', '주문'],
  ['EUC_CN', '订单'],
])('reads names in %s as the server does', async (encoding, name) => {
  const [row] = await database.query(`SELECT encode(convert_to('${name}', '${encoding}'), 'hex') AS hex`);
  expect(textOf(Buffer.from(row?.['hex'] ?? '', 'hex').toString('latin1'), encoding)).toBe(name);
});
