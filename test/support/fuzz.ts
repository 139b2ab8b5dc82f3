/** Number of runs of property tests: some 200 runs with a fixed seed in `npm test`, many with a new one in `npm run test:fuzz`. */
import fc from 'fast-check';
import {expect} from 'vitest';
import {AppError, type ErrorCode} from '../../src/lib/base/errors.js';

const isLong = process.env['DESTINO_TEST_FUZZ'] === 'long';
const given = process.env['DESTINO_TEST_FUZZ_SEED'];
const seed = given === undefined ? (isLong ? Date.now() % 2 ** 31 : 20_261_125) : Number(given);
const factor = isLong ? Number(process.env['DESTINO_TEST_FUZZ_FACTOR'] ?? 50) : 1;
process.stdout.write(`fuzz: seed ${seed}${isLong ? `, ${factor} times the short form` : ''}\n`);

/** The parameters of a property; `runs` is for the short form. */
export function runs(count = 200): {numRuns: number; seed: number} {
  return {numRuns: count * factor, seed};
}

/** More time than any input of these tests needs on a busy machine; a longer run counts as a hang. */
const hangMs = 10_000;

function notHanging<T>(startedMs: number, result: T): T {
  expect(performance.now() - startedMs, 'ms, which is a hang').toBeLessThan(hangMs);
  return result;
}

/** The result of `work`, or undefined if it refused with one of `codes`; any other error fails the test. */
export function orRefusal<T>(codes: readonly ErrorCode[], work: () => T): T | undefined {
  const startedMs = performance.now();
  try {
    return notHanging(startedMs, work());
  } catch (error) {
    requireCode(error, codes);
    return notHanging(startedMs, undefined);
  }
}

export async function orRefusalLater<T>(
  codes: readonly ErrorCode[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  const startedMs = performance.now();
  try {
    return notHanging(startedMs, await work());
  } catch (error) {
    requireCode(error, codes);
    return notHanging(startedMs, undefined);
  }
}

function requireCode(error: unknown, codes: readonly ErrorCode[]): void {
  if (!(error instanceof AppError)) throw error;
  expect(codes, error.message).toContain(error.code);
}

/** Any text: of every plane, with characters that confuse parsers. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({unit: 'binary', maxLength: 60}),
  fc.string({maxLength: 60}),
  fc.constantFrom(
    '',
    '\0',
    '__proto__',
    'constructor',
    '../..',
    "'",
    '"',
    '\\',
    '\n',
    '\r\n',
    '\u001b[2J',
    '%',
    '$(id)',
    '\ud800',
  ),
);

/** JSON values of an attacker: prototype keys, numbers out of range, deep and wide. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({maxDepth: 4, stringUnit: 'binary'}),
  fc.constantFrom(null, true, 0, -1, 1e308, 2 ** 53, 0.5, '', [], {}, '9'.repeat(400), 'x'.repeat(100_000)),
  fc.constant(
    JSON.parse(
      '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}',
    ) as unknown,
  ),
);

/** `value` with one member, at any depth, replaced, removed or added. */
export function withOneChange(value: unknown): fc.Arbitrary<unknown> {
  const paths = pathsOf(value, []);
  return fc
    .tuple(fc.constantFrom(...paths), fc.constantFrom('replace', 'remove', 'add'), anyJson, anyText)
    .map(([path, how, json, key]) => changed(value, path, how, json, key));
}

function pathsOf(value: unknown, path: readonly string[]): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...path, key]))];
}

function changed(value: unknown, path: readonly string[], how: string, json: unknown, key: string): unknown {
  const [first, ...rest] = path;
  if (first === undefined) {
    if (how === 'add' && typeof value === 'object' && value !== null && !Array.isArray(value))
      return {...value, [key]: json};
    return json;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value as unknown[];
    const index = Number(first);
    if (how === 'remove' && rest.length === 0) return items.filter((_item, at) => at !== index);
    return items.map((item, at) => (at === index ? changed(item, rest, how, json, key) : item));
  }
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.flatMap(([name, child]) => {
      if (name !== first) return [[name, child]];
      return how === 'remove' && rest.length === 0 ? [] : [[name, changed(child, rest, how, json, key)]];
    }),
  );
}

/** Damaged bytes: truncated, a byte flipped, a piece duplicated, removed, swapped or replaced. */
export function damaged(bytes: Buffer): fc.Arbitrary<Buffer> {
  const position = fc.nat(Math.max(0, bytes.length - 1));
  return fc
    .tuple(
      position,
      position,
      fc.uint8Array({maxLength: 12}),
      fc.constantFrom('cut', 'replace', 'double', 'remove', 'swap'),
    )
    .map(([a, b, piece, how]) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const [head, middle, tail] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)];
      switch (how) {
        case 'cut':
          return Buffer.from(head);
        case 'replace':
          return Buffer.concat([head, piece, bytes.subarray(from + piece.length)]);
        case 'double':
          return Buffer.concat([head, middle, middle, tail]);
        case 'remove':
          return Buffer.concat([head, tail]);
        default:
          return Buffer.concat([tail, middle, head]);
      }
    });
}
