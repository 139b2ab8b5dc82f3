import {expect, it} from 'vitest';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../../../src/lib/postgres/quote.js';

it('preserves case and all characters of identifiers', () => {
  expect(quoteIdentifier('Orders')).toBe('"Orders"');
  expect(quoteIdentifier('a"b; DROP TABLE x; --')).toBe('"a""b; DROP TABLE x; --"');
  expect(quoteQualified('Other "Schema"', 'a.b')).toBe('"Other ""Schema"""."a.b"');
});

it('doubles quotes and escapes backslashes in literals', () => {
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral('')).toBe("''");
  expect(quoteLiteral("a\\'b")).toBe(" E'a\\\\''b'");
});
