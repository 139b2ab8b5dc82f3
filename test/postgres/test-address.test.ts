/** The rule of test addresses, on the server, by its table of examples. */
import {readFile} from 'node:fs/promises';
import {describe, expect, it} from 'vitest';
import {
  testAddressExamples,
  testAddressRules,
  testAddressSql,
} from '../../src/lib/services/orders/rules/test-address.js';
import {quoteLiteral} from '../../src/lib/postgres/quote.js';
import {onServer} from '../support/temp-database.js';

/** The addresses that the rule takes for test addresses. */
async function matching(addresses: readonly string[], config = {}): Promise<string[]> {
  const list = addresses.map((address) => `(${quoteLiteral(address)})`).join(', ');
  const rows = await onServer((session) =>
    session.query(
      `SELECT address FROM (VALUES ${list}) v(address) WHERE ${testAddressSql('address', testAddressRules(config))}`,
    ),
  );
  return rows.map((row) => String(row['address']));
}

describe('the rule of test addresses', () => {
  it('says of every example what the table says', async () => {
    const matched = await matching(testAddressExamples.map(({address}) => address));
    expect(matched).toEqual(testAddressExamples.filter(({isTest}) => isTest).map(({address}) => address));
    expect(matched.length).toBeGreaterThan(15);
  });

  it('says of the addresses that the documentation shows what it shows', async () => {
    const page = await readFile(new URL('../../docs/orders-profiles.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| .* \| ([^|]*) \| ([^|]*) \|$/gm)];
    const inColumn = (column: number) =>
      rows
        .flatMap((row) => [...(row[column] ?? '').matchAll(/`([^`]*@[^`]*)`/g)].map(([, text = '']) => text))
        .map(
          (text) => `${text.startsWith('@') ? 'someone' : ''}${text}${text.endsWith('@') ? 'gmail.com' : ''}`,
        );
    const [tests, people] = [inColumn(1), inColumn(2)];
    expect(await matching([...tests, ...people])).toEqual(tests);
    expect([tests.length, people.length]).toEqual([8, 6]);
  });

  it('is never null', async () => {
    const [row] = await onServer((session) =>
      session.query(`SELECT ${testAddressSql('NULL::text', testAddressRules())} AS answer`),
    );
    expect(row).toEqual({answer: 'f'});
  });

  it('takes words and domains from the config, and leaves out words that it removes', async () => {
    const addresses = [
      'qa@shop.com',
      'a+QA2@shop.com',
      'sample@shop.com',
      'x@drop.box',
      'x@in.drop.box',
      'x@dropxbox.com',
      'x@raindrop.box',
    ];
    expect(await matching(addresses)).toEqual(['sample@shop.com']);
    const config = {testWords: {add: ['QA'], remove: ['Sample']}, throwAwayDomains: ['Drop.box']};
    expect(await matching(addresses, config)).toEqual([
      'qa@shop.com',
      'a+QA2@shop.com',
      'x@drop.box',
      'x@in.drop.box',
    ]);
  });

  it('still knows reserved and throw-away domains when every word is removed', async () => {
    const words = ['test', 'testing', 'demo', 'example', 'temp', 'fake', 'dummy', 'sample'];
    expect(
      await matching(['test@shop.com', 'x@a.test', 'x@yopmail.com'], {testWords: {remove: words}}),
    ).toEqual(['x@a.test', 'x@yopmail.com']);
  });
});
