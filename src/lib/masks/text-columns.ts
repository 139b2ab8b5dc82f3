/** Which columns can contain free text, and how their text is searched for e-mail addresses. */
import {quoteIdentifier, quoteLiteral} from '../postgres/quote.js';
import {ascii, maskedDomain, searchable} from './mask-sql.js';
import type {Column} from './read-tables.js';

const withoutText =
  /^(?:bool|int[248]|numeric|float[48]|money|oid|date|timestamp|timestamptz|time|timetz|interval|uuid|bytea|bit|varbit|inet|cidr|macaddr8?|point|line|lseg|box|path|polygon|circle|pg_lsn|tsquery|xid8?|tid|"?char"?|.*range)$/;

/** The shortest address: a@b.co. */
const shortestAddress = 6;

export function canContainText({baseName, isKnown, isEnum, length}: Column): boolean {
  return !isEnum && !(isKnown && withoutText.test(baseName)) && !(length !== null && length < shortestAddress && baseName !== 'numeric'); // prettier-ignore
}

/** A function takes at most 100 values. */
const mostJoined = 99;

/** How statements name a row that they read. */
export const rowAlias = 'destino_row';

/** SQL: the text of the columns of a row, one after the other, as the output functions of their types print it. */
export function textOfRow(columns: readonly Column[]): string {
  return searchable(joined(columns.map(({name}) => `${rowAlias}.${quoteIdentifier(name)}`)));
}

/** SQL: a query with the text of the columns as the column "text". */
export function textsOf(from: string, columns: readonly Column[]): string {
  return `SELECT ${textOfRow(columns)} AS text FROM ${from} AS ${rowAlias}`;
}

function joined(texts: readonly string[]): string {
  if (texts.length <= mostJoined) return `concat_ws(E'\\n', ${texts.join(', ')})`;
  const parts: string[] = [];
  for (let first = 0; first < texts.length; first += mostJoined)
    parts.push(joined(texts.slice(first, first + mostJoined)));
  return joined(parts);
}

const withoutMasked = (text: string): string => `replace(${text}, ${quoteLiteral(`@${maskedDomain}`)}, ' ')`;

/** SQL: whether the text can contain an address that is not masked. Few rows have masked addresses with capitals, so these alone are read in lower case. */
export function hasAddress(text: string): string {
  return `CASE WHEN strpos(${text}, '@') = 0 THEN false WHEN strpos(${withoutMasked(text)}, '@') = 0 THEN false ELSE strpos(${withoutMasked(`lower(${text} ${ascii})`)}, '@') > 0 END`;
}

const addressCharacter = String.raw`[^\s@<>"(),;:'\\\[\]{}|=/?&#!*${'`'}]`;
const addressPattern = quoteLiteral(`${addressCharacter}+@${addressCharacter}+`).trim();

/** Escapes of JSON such as \n, which would become a part of an address. They are replaced only in rows with an address, because that costs more than a search. */
const withoutEscapes = (text: string): string =>
  String.raw`replace(replace(replace(${text}, '\n', ' '), '\t', ' '), '\r', ' ')`;

/**
 * SQL: the addresses in the text of each row of `from`, as the column "address" of "found".
 * @param from a query with the column "text"
 */
export function addressesIn(from: string): string {
  return `(SELECT btrim(lower(m.match[1]), '.') AS address
      FROM (SELECT ${withoutMasked(withoutEscapes('t.text'))} AS text FROM (${from} OFFSET 0) t
             WHERE ${hasAddress('t.text')} OFFSET 0) t
     CROSS JOIN LATERAL regexp_matches(t.text, ${addressPattern}, 'g') m(match)
     WHERE strpos(t.text, '@') > 0) found`;
}
