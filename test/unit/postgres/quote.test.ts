import {expect, it} from 'vitest';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../../../src/lib/postgres/quote.js';

it('identifiers keep their case and any character', () => {
  expect(quoteIdentifier('Orders')).toBe('"Orders"');
  expect(quoteIdentifier('a"b; DROP TABLE x; --')).toBe('"a""b; DROP TABLE x; --"');
  expect(quoteQualified('Other "Schema"', 'a.b')).toBe('"Other ""Schema"""."a.b"');
});

it('literals double quotes and mark backslashes', () => {
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral('')).toBe("''");
  expect(quoteLiteral("a\\'b")).toBe(" E'a\\\\''b'");
});
