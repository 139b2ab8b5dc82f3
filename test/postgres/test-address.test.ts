/** The rule of test addresses, on the server, by its table of examples. */
import {readFile} from 'node:fs/promises';
import {describe, expect, it} from 'vitest';
import {testAddressRules, testAddressSql} from '../../src/lib/services/orders/rules/test-address.js';
import {quoteLiteral} from '../../src/lib/postgres/quote.js';
import {onServer} from '../support/temp-database.js';

/** The addresses that the rule counts as test addresses. */
async function matching(addresses: readonly string[], config = {}): Promise<string[]> {
  const list = addresses.map((address) => `(${quoteLiteral(address)})`).join(', ');
  const rows = await onServer((session) =>
    session.query(
      `SELECT address FROM (VALUES ${list}) v(address) WHERE ${testAddressSql('address', testAddressRules(config))}`,
    ),
  );
  return rows.map((row) => String(row['address']));
}

/** Addresses and the answer of the rule. */
const examples: readonly {address: string; isTest: boolean; why: string}[] = [
  {address: 'test@shop.com', isTest: true, why: 'the local part is a word'},
  {address: 'TEST@Shop.com', isTest: true, why: 'case does not matter'},
  {address: ' demo12@shop.com ', isTest: true, why: 'trailing digits and outer spaces do not matter'},
  {address: 'dev.test41@gmail.com', isTest: true, why: 'ends in a separator and a word'},
  {address: 'maria-test@gmail.com', isTest: true, why: 'ends in a separator and a word'},
  {address: 'maria_testing@gmail.com', isTest: true, why: 'ends in a separator and a word'},
  {address: 'test+maria@gmail.com', isTest: true, why: 'the local part before the plus tag is a word'},
  {address: 'maria+test@gmail.com', isTest: true, why: 'the plus tag is a word'},
  {address: 'maria+test1@gmail.com', isTest: true, why: 'a word and no letter after it'},
  {address: 'maria+demo-2@gmail.com', isTest: true, why: 'a word and no letter after it'},
  {address: 'maria@test.com', isTest: true, why: 'a label of the domain is a word'},
  {address: 'maria@mail.demo.io', isTest: true, why: 'a label of the domain is a word'},
  {address: 'qa@example.com', isTest: true, why: 'reserved for examples (RFC 2606)'},
  {address: 'x@mail.test', isTest: true, why: 'reserved top-level domain (RFC 6761)'},
  {address: 'root@localhost', isTest: true, why: 'reserved name (RFC 6761)'},
  {address: 'maria@shop.invalid', isTest: true, why: 'reserved top-level domain (RFC 6761)'},
  {address: 'maria@10minutemail.com', isTest: true, why: 'a throw-away service'},
  {address: 'maria@eu.mailinator.com', isTest: true, why: 'a domain of a throw-away service'},
  {address: 'contest@gmail.com', isTest: false, why: 'the word is part of another'},
  {address: 'latest@company.com', isTest: false, why: 'the word is part of another'},
  {address: 'attest@gmail.com', isTest: false, why: 'the word is part of another'},
  {address: 'counterexample@gmail.com', isTest: false, why: 'the word is part of another'},
  {address: 'resample@gmail.com', isTest: false, why: 'the word is part of another'},
  {address: 'contemp@gmail.com', isTest: false, why: 'the word is part of another'},
  {address: 'protest+food@x.org', isTest: false, why: 'neither local part nor tag is a word'},
  {address: 'anna+testimonials@gmail.com', isTest: false, why: 'the tag goes on after the word'},
  {address: 'jo.testa@gmail.com', isTest: false, why: 'a surname'},
  {address: 'tester7@gmail.com', isTest: false, why: 'only digits are stripped'},
  {address: 'examples3@gmail.com', isTest: false, why: 'only digits are stripped'},
  {address: 'fakenham@gmail.com', isTest: false, why: 'a surname'},
  {address: 'greatest.test.kitchen@gmail.com', isTest: false, why: 'the word is not at the end'},
  {address: 'maria@latest.com', isTest: false, why: 'the label is another word'},
  {address: 'maria@fake-news.org', isTest: false, why: 'the label is another word'},
  {address: 'maria@testing-labs.com', isTest: false, why: 'the label is another word'},
  {address: 'maria@mailinator', isTest: false, why: 'no domain of the service'},
  {address: 'test', isTest: false, why: 'no address'},
  {address: '', isTest: false, why: 'no address'},
];

describe('the rule of test addresses', () => {
  it('gives the answer in the table for every example', async () => {
    const matched = await matching(examples.map(({address}) => address));
    expect(matched).toEqual(examples.filter(({isTest}) => isTest).map(({address}) => address));
    expect(matched.length).toBeGreaterThan(15);
  });

  it('gives the answer in the documentation for its addresses', async () => {
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

  it('uses words and domains from the config, and ignores words that it removes', async () => {
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

  it('still recognises reserved and disposable domains when every word is removed', async () => {
    const words = ['test', 'testing', 'demo', 'example', 'temp', 'fake', 'dummy', 'sample'];
    expect(
      await matching(['test@shop.com', 'x@a.test', 'x@yopmail.com'], {testWords: {remove: words}}),
    ).toEqual(['x@a.test', 'x@yopmail.com']);
  });
});
