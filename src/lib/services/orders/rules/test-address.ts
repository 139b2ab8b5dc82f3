/** What a test address is: one SQL expression, and the examples that show it. */
import {quoteLiteral} from '../../../postgres/quote.js';
import {builtInTestWords, type OrdersConfig} from '../../../settings/orders-config.js';

/** Last labels that no real domain has: RFC 2606 and RFC 6761. */
const reservedLabels = ['test', 'example', 'invalid', 'localhost'] as const;

/** Services that give anybody an address for some minutes; a name without a dot stands for every top-level domain. */
const builtInThrowAwayDomains = [
  '10minutemail', '20minutemail', 'burnermail', 'discard.email', 'dispostable', 'fakeinbox', 'fakemail', 'getnada',
  'guerrillamail', 'guerrillamailblock', 'mailcatch', 'maildrop', 'mailinator', 'mailnesia', 'mintemail', 'moakt',
  'mohmal', 'sharklasers', 'spamgourmet', 'temp-mail', 'tempail', 'tempinbox', 'tempmail', 'tempmailo', 'throwaway.email',
  'throwawaymail', 'trashmail', 'yopmail',
]; // prettier-ignore

export interface TestAddressRules {
  /** Lower case. */
  readonly words: readonly string[];
  readonly throwAwayDomains: readonly string[];
}

/** The built-in rules with what the config adds and removes. */
export function testAddressRules(config: OrdersConfig = {}): TestAddressRules {
  const removed = new Set((config.testWords?.remove ?? []).map((word) => word.toLowerCase()));
  const words = [...builtInTestWords, ...(config.testWords?.add ?? []).map((word) => word.toLowerCase())];
  return {
    words: [...new Set(words)].filter((word) => !removed.has(word)),
    throwAwayDomains: [
      ...new Set([
        ...builtInThrowAwayDomains,
        ...(config.throwAwayDomains ?? []).map((domain) => domain.toLowerCase()),
      ]),
    ],
  };
}

/**
 * SQL expression of type boolean, never null: whether the address is a test address. In short:
 * 1. the local part without plus tag and trailing digits is a word, or ends in `.`, `-` or `_` and a word;
 * 2. the plus tag begins with a word that no letter follows;
 * 3. a label of the domain is a word, or its last label is reserved (RFC 2606, RFC 6761);
 * 4. the domain, or one it belongs to, is a throw-away one.
 * What has no `@` is no address and never matches.
 * @param email SQL expression of the address
 */
export function testAddressSql(email: string, rules: TestAddressRules): string {
  const words = anyOf(rules.words);
  const services = rules.throwAwayDomains;
  const patterns = [
    ...(rules.words.length === 0
      ? []
      : [
          `^(?:[^+]*[._-])?${words}[0-9]*(?:[+].*)?@[^@]*$`,
          `^[^+@]*[+]${words}(?:[^[:alpha:]].*)?@[^@]*$`,
          `@(?:[^@]*[.])?${words}(?:[.][^@]*)?$`,
        ]),
    `@(?:[^@]*[.])?${anyOf(reservedLabels)}[.]?$`,
    `@(?:[^@]*[.])?${anyOf(services.filter((name) => !name.includes('.')))}[.][^@]*$`,
    `@(?:[^@]*[.])?${anyOf(services.filter((name) => name.includes('.')))}[.]?$`,
  ];
  const address = `pg_catalog.lower(pg_catalog.btrim((${email})::pg_catalog.text))`;
  const mayMatch = `${address} LIKE ANY (ARRAY[${likePatterns([...rules.words, ...reservedLabels, ...services])}]::pg_catalog.text[])`;
  // Most addresses have none of the names in them, and LIKE finds that out six times as fast; most test addresses match
  // the first pattern, which takes a third of the time of all in one.
  const matches = patterns.map((pattern) => `${address} ~ ${quoteLiteral(pattern)}`).join(' OR ');
  return `coalesce(${mayMatch} AND (${matches}), false)`;
}

/** SQL list of LIKE patterns: texts with any of the names in them. A name within which another one stands adds nothing. */
function likePatterns(names: readonly string[]): string {
  return [...new Set(names)]
    .filter((name) => !names.some((other) => other !== name && name.includes(other)))
    .map((name) => quoteLiteral(`%${name.replace(/[\\%_]/g, '\\$&')}%`))
    .join(', ');
}

function anyOf(texts: readonly string[]): string {
  return `(?:${texts.map(escapeRegex).join('|')})`;
}

/** Escapes what a POSIX regular expression would take for syntax (manual, 9.7.3). */
function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Addresses and what the rule says of them: for the tests and the documentation. */
export const testAddressExamples: readonly {address: string; isTest: boolean; why: string}[] = [
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
