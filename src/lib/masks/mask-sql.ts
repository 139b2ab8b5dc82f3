/** The SQL of the masks: what the server computes from a value and the key. */
import {quoteIdentifier, quoteLiteral} from '../postgres/quote.js';
import type {JsonMask, ColumnMask, SimpleMask} from '../settings/mask-config.js';
import {anyElement, type JsonStep, jsonSteps} from './json-path.js';
import type {Column, Table} from './read-tables.js';

/** The temporary table with the key, in one row. */
export const keyTable = 'pg_temp.destino_mask_key';
/** Why a mask does not fit its column, and what to do. */
export interface Misfit {
  readonly why: string;
  readonly hint?: string;
}

/** The domain of masked e-mail addresses; nothing can be sent there (RFC 2606). */
export const maskedDomain = 'masked.invalid';

/** No country has this code (ITU-T E.164). */
const phoneStart = '+999';
const addressStart = 'Street ';

/** Returns SQL for the hash of a text of the row; the caller decides where it is computed. */
export type HashOf = (kind: string, text: string) => string;

/**
 * SHA-256 of the key and a text. Nobody can append to the hashed text: the padding of a shorter one (FIPS 180-4, 5.1.1) contains zero bytes, and a text
 * of PostgreSQL contains none.
 */
export const keyedHash: HashOf = (kind, text) =>
  // Not correlated, so that the server computes what is before the text once.
  `sha256((SELECT k.key || textsend(${quoteLiteral(`${kind}:`).trim()}) FROM ${keyTable} k) || textsend(${text}))`;

const hex = '0123456789abcdef';
/** Hexadecimal digits; other alphabets cost the server as much as the hash. */
const hexOf = (hash: string, count: number): string => {
  const digits = `encode(substr(${hash}, 1, ${Math.ceil(count / 2)}), 'hex')`;
  return count % 2 === 0 ? digits : `left(${digits}, ${count})`;
};

/** 256 pairs of letters, a consonant with a vowel or the other way round. */
const syllables = [...'bcdfghjklmnpqrstvwxz']
  .flatMap((consonant) => [...'aeiouy'].flatMap((vowel) => [consonant + vowel, vowel + consonant]))
  .concat([...'bdfgklmnprstvwxz'].map((consonant) => consonant + consonant))
  .join('');
const inBytes = (text: string): string => `'\\x${Buffer.from(text).toString('hex')}'::bytea`;
const capitalized = syllables.replace(/../g, ([first = '', second = '']) => first.toUpperCase() + second);

const syllableAt = (hash: string, index: number): string =>
  `substr(${inBytes(index === 0 ? capitalized : syllables)}, get_byte(${hash}, ${index}) * 2 + 1, 2)`;

/** A word with a capital, 8 bits for two letters. */
const wordOf = (hash: string, count: number): string => {
  const parts = Array.from({length: Math.ceil(count / 2)}, (_, index) => syllableAt(hash, index));
  return `left(encode(${parts.reduce((made, next) => `${made} || ${next}`)}, 'escape'), ${count})`;
};

/** A whole number from 0 on with 56 bits. */
const numberOf = (hash: string, from = 1): string =>
  `('x' || encode(substr(${hash}, ${from}, 7), 'hex'))::bit(56)::bigint`;

const digitsOf = (hash: string, count: number): string =>
  `lpad((${numberOf(hash)} % ${10 ** count})::text, ${count}, '0')`;

type TextMask = Exclude<SimpleMask, 'null'>;

/** Characters that a mask needs, and that it takes where it may. */
const widths: Readonly<Record<TextMask, readonly [least: number, most: number]>> = {
  hash: [8, 32],
  email: [8 + maskedDomain.length + 1, 20 + maskedDomain.length + 1],
  name: [6, 12],
  phone: [12, 16],
  address: [19, 19],
  text: [1, Number.MAX_SAFE_INTEGER],
};
/** Characters below which masks of different values may be the same. */
const uniqueWidths: Readonly<Record<TextMask, number>> = {
  hash: 14,
  email: 14 + maskedDomain.length + 1,
  name: 12,
  phone: 16,
  address: Infinity,
  text: Infinity,
};

/** @returns the masked text of `value`, an SQL expression of type text that is not NULL */
function maskText(mask: TextMask, value: string, limit: number, hashOf: HashOf): string {
  const width = Math.min(limit, widths[mask][1]);
  switch (mask) {
    case 'hash':
      return hexOf(hashOf('hash', value), width);
    case 'email': {
      const madeOf = (hash: string): string =>
        `(${hexOf(hash, width - maskedDomain.length - 1)} || '@${maskedDomain}')`;
      // Spellings of one address differ only in capitals, and so do their masks, in the domain too: the digits have few letters.
      const spelt = `(SELECT string_agg(CASE WHEN get_bit(m.h, i) = 1 THEN upper(substr(m.w, i, 1) ${ascii}) ELSE substr(m.w, i, 1) END, '' ORDER BY i)
        FROM (SELECT ${keyedHash('spelling', value)} AS h, ${madeOf(keyedHash('email', `lower(${value})`))} AS w) m, generate_series(1, ${width}) i)`;
      return `CASE WHEN ${value} = lower(${value}) ${ascii} THEN ${madeOf(hashOf('email', value))} ELSE ${spelt} END`;
    }
    case 'name':
      return wordOf(hashOf('name', value), width);
    case 'phone':
      return `('${phoneStart}' || ${digitsOf(hashOf('phone', value), width - phoneStart.length)})`;
    case 'address':
      return `('${addressStart}' || ${hexOf(hashOf('address', value), 12)})`;
    case 'text':
      return sameLength(value, hashOf('text', value));
  }
}

/** The capital of "i" is "I" in this collation, and not that of a Turkish database. */
export const ascii = 'COLLATE pg_catalog."C"';

/** A text that can be searched: a collation that takes different texts for equal, such as one without capitals, refuses that. */
export const searchable = (text: string): string => `${text} COLLATE pg_catalog."default"`;

/** SQL: whether a text has characters; a collation can ignore blanks and punctuation, and find no difference between these and none. */
export const isNotEmpty = (text: string): string => `octet_length(${text}) > 0`;

/** Bytes below which a masked text can be the value itself, and has no blanks. */
const shortText = 24;

/** Hexadecimal digits, with blanks in texts that have some, or digits where the value has no letters; as long as the value. */
function sameLength(value: string, hash: string): string {
  const stream = `encode(${hash}, 'hex')`;
  const length = `char_length(${value})`;
  // Bytes are cut faster than characters, and counted faster; there are at least as many.
  const repeated = `textsend(repeat(replace(${stream}, '7', ' '), octet_length(${value}) / 64 + 1))`;
  const words = `('0' || encode(substr(${repeated}, 2, ${length} - 2), 'escape') || '0')`;
  const short = `CASE WHEN ${searchable(value)} ~ '^[0-9 .,+()/-]*$' THEN repeat(${digitsOf(hash, 15)}, 2) ELSE ${stream} END`;
  // A short mask can be the value itself; each of its characters changes then.
  const changed = `(SELECT CASE WHEN r.r = ${value} THEN translate(r.r, '${hex}', '${hex.slice(1)}0') ELSE r.r END FROM (SELECT left(${short}, ${length}) AS r OFFSET 0) r)`;
  return `CASE WHEN octet_length(${value}) < ${shortText} THEN ${changed} ELSE ${words} END`;
}

/**
 * SQL for a text: whether it can be one that the mask made of a value of the column, so that all other texts need no comparison with these; undefined
 * if it can be any.
 */
export function looksMasked(
  mask: ColumnMask['mask'],
  {baseName, length}: Pick<Column, 'baseName' | 'length'>,
): ((text: string) => string) | undefined {
  if (!textTypes.includes(baseName) || !(mask in widths)) return undefined;
  const [, most] = widths[mask as TextMask];
  const isWhole = (text: string): string => `octet_length(${text}) = ${Math.min(length ?? most, most)}`;
  const hasBlank = (text: string): string => `strpos(${searchable(text)}, ' ') > 0`;
  const startsWith = (text: string, start: string): string =>
    `starts_with(${searchable(text)}, ${quoteLiteral(start).trim()})`;
  switch (mask as TextMask) {
    case 'text':
      return (text) =>
        `(${startsWith(text, '0')} OR octet_length(${text}) < ${shortText} AND NOT ${hasBlank(text)})`;
    case 'name':
      return (text) => `${isWhole(text)} AND NOT ${hasBlank(text)}`;
    case 'phone':
      return (text) => `${isWhole(text)} AND ${startsWith(text, phoneStart)}`;
    case 'address':
      return (text) => `${isWhole(text)} AND ${startsWith(text, addressStart)}`;
    default:
      return isWhole;
  }
}

const textTypes = ['text', 'varchar', 'bpchar', 'name', 'citext'];
const integerLimits: Readonly<Record<string, string>> = {
  int2: '32767',
  int4: '2147483647',
  int8: '9223372036854775807',
};

/** The value of a column as text, by the output function of its type: no cast of a user's is called. */
export function textOfColumn(column: string): string {
  return `concat(${column})`;
}

/** The same for types whose cast to text costs nothing. */
export function plainText(column: string, {baseName, isArray}: Column): string {
  return !isArray && (baseName === 'text' || baseName === 'varchar')
    ? `${column}::text`
    : textOfColumn(column);
}

/**
 * The expression that the column is set to.
 * @param columnSql the column, quoted
 * @throws nothing: a mask that does not fit is returned as `Misfit`
 */
export function maskSql(
  mask: ColumnMask,
  column: Column,
  table: Table,
  columnSql: string,
  hashOf: HashOf = keyedHash,
): string | Misfit {
  const type = column.base;
  // The rows come from the program.
  if (mask.mask === 'keep' || mask.mask === 'program') return columnSql;
  if (mask.mask === 'null')
    return column.notNull ? {why: 'the column is NOT NULL', hint: 'Use constant, hash or text.'} : 'NULL';
  if (mask.mask === 'sql') return `((${mask.sql}\n)${column.isArray ? '' : `::${type}`})`;
  if (mask.mask === 'constant') {
    if (column.isUnique) return {why: 'the column is unique', hint: 'Use hash or email.'};
    return `CASE WHEN ${columnSql} IS NOT NULL THEN ${quoteLiteral(String(mask.value))}::${column.isArray ? `${type}[]` : type} END`;
  }
  if (!column.isKnown || column.isEnum)
    return {
      why: `values of the type ${column.declared} cannot be computed`,
      hint: 'Use null, constant or sql.',
    };
  switch (mask.mask) {
    case 'json':
      return jsonMask(mask, column, columnSql);
    case 'date':
      return dateMask(mask.days ?? 30, column, table, columnSql, hashOf);
    case 'number':
      return numberMask(mask.percent ?? 10, column, table, columnSql, hashOf);
    default:
      return valueMask(mask.mask, column, columnSql, hashOf);
  }
}

function valueMask(mask: TextMask, column: Column, columnSql: string, hashOf: HashOf): string | Misfit {
  if (!column.isArray) return elementMask(mask, column, columnSql, hashOf);
  const element = elementMask(mask, column, 'e.v', keyedHash);
  if (typeof element !== 'string') return element;
  return `CASE WHEN cardinality(${columnSql}) > 0 THEN (SELECT array_agg(${element} ORDER BY e.n) FROM unnest(${columnSql}) WITH ORDINALITY e(v, n)) ELSE ${columnSql} END`;
}

function elementMask(mask: TextMask, column: Column, value: string, hashOf: HashOf): string | Misfit {
  const {baseName, base} = column;
  const text = plainText(value, {...column, isArray: false});
  const notNull = (made: string): string => `CASE WHEN ${value} IS NOT NULL THEN ${made} END`;
  if (textTypes.includes(baseName)) {
    const limit = baseName === 'name' ? 63 : (column.length ?? Number.MAX_SAFE_INTEGER);
    const least = widths[mask][0];
    if (limit < least)
      return {why: `the mask needs ${least} characters and the column takes ${limit}`, hint: 'Use text.'};
    if (column.isUnique && uniqueWidths[mask] === Infinity)
      return {why: 'masked values of a unique column could be the same', hint: 'Use hash or email.'};
    if (column.isUnique && limit < uniqueWidths[mask])
      return {
        why: 'masked values of a unique column could be the same',
        hint: 'Use hash or email, and a longer column.',
      };
    // Trailing blanks of char(n) are not part of the value.
    const trimmed = baseName === 'bpchar' ? `rtrim(${text})` : text;
    // An empty text stays, and so does NULL.
    return `CASE WHEN ${isNotEmpty(trimmed)} THEN ${maskText(mask, trimmed, limit, hashOf)}::${base} ELSE ${value} END`;
  }
  if (mask === 'phone' && baseName === 'int8' && !column.isUnique)
    return notNull(`(999000000000000 + ${numberOf(hashOf('phone', text))} % 1000000000000)`);
  if (mask !== 'hash' || !['uuid', 'bytea', 'int8', 'inet', 'cidr'].includes(baseName))
    return {why: `the mask does not fit the type ${column.declared}`, hint: fitting(column)};
  const whole = hashOf('hash', text);
  if (baseName === 'uuid') return notNull(`encode(substr(${whole}, 1, 16), 'hex')::uuid`);
  if (baseName === 'bytea') return notNull(`substr(${whole}, 1, 16)`);
  if (baseName === 'int8')
    return notNull(`(('x' || encode(substr(${whole}, 1, 8), 'hex'))::bit(64)::bigint & 9223372036854775807)`);
  // Groups of four digits, in the range of addresses for documentation (RFC 3849).
  const groups = `regexp_replace(encode(substr(${whole}, 1, 12), 'hex'), '(....)(?=.)', '\\1:', 'g')`;
  return notNull(`('2001:db8:' || ${groups})::${base}`);
}

function fitting({baseName}: Column): string {
  if (['date', 'timestamp', 'timestamptz'].includes(baseName)) return 'Use date, null, constant or sql.';
  if (baseName in integerLimits || ['numeric', 'float4', 'float8'].includes(baseName))
    return 'Use number, null, constant or sql.';
  if (['json', 'jsonb'].includes(baseName)) return 'Use json, null, constant or sql.';
  return 'Use null, constant or sql.';
}

/** The primary key as one text, or the value itself. */
function rowText(table: Table, columnSql: string): string {
  const columns = table.key.map((name) => quoteIdentifier(table.name) + '.' + quoteIdentifier(name));
  return columns.length === 0 ? textOfColumn(columnSql) : `concat_ws('|', ${columns.join(', ')})`;
}

/** All dates of a row move together. */
function dateMask(
  days: number,
  column: Column,
  table: Table,
  columnSql: string,
  hashOf: HashOf,
): string | Misfit {
  const {baseName, isArray} = column;
  if (isArray || !['date', 'timestamp', 'timestamptz'].includes(baseName))
    return {why: `the mask does not fit the type ${column.declared}`, hint: 'Use null, constant or sql.'};
  if (column.isUnique) return {why: 'masked values of a unique column could be the same', hint: 'Use sql.'};
  const hash = hashOf(`date:${table.schema}.${table.name}`, rowText(table, columnSql));
  const shift = `((1 + ${numberOf(hash)} % ${days}) * (1 - 2 * get_bit(${hash}, 100)))::int`;
  const moved =
    baseName === 'date'
      ? `${columnSql} + ${shift}`
      : `${columnSql} + make_interval(days => ${shift}, secs => get_byte(${hash}, 20) * 256 + get_byte(${hash}, 21))`;
  return `CASE WHEN isfinite(${columnSql}) THEN ${moved} ELSE ${columnSql} END`;
}

/** Never the value itself; zero is only left. */
function numberMask(
  percent: number,
  column: Column,
  table: Table,
  columnSql: string,
  hashOf: HashOf,
): string | Misfit {
  const {baseName, isArray, base} = column;
  const isInteger = baseName in integerLimits;
  if (isArray || !(isInteger || ['numeric', 'float4', 'float8'].includes(baseName)))
    return {why: `the mask does not fit the type ${column.declared}`, hint: 'Use null, constant or sql.'};
  if (column.isUnique)
    return {why: 'masked values of a unique column could be the same', hint: 'Use hash, or sql.'};
  const hash = hashOf(`number:${table.schema}.${table.name}.${column.name}`, rowText(table, columnSql));
  const share = `((1 + ${numberOf('m.h')} % 10000) * ${percent} / 1000000.0)`;
  const special = `${textOfColumn(columnSql)} IN ('NaN', 'Infinity', '-Infinity')`;
  const scale = isInteger ? '0' : (column.decimals?.toString() ?? `coalesce(scale(m.x), 0)`);
  const most = isInteger
    ? (integerLimits[baseName] ?? '0')
    : column.length === null
      ? 'NULL::numeric'
      : `(10::numeric ^ ${column.length - (column.decimals ?? 0)} - 10::numeric ^ (-${column.decimals ?? 0}))`;
  const unit = `(10::numeric ^ (-(${scale})))`;
  const made = `(SELECT CASE WHEN get_bit(m.h, 100) = 1 AND abs(m.x) > m.d OR abs(m.x) + m.d > ${most} THEN m.x - sign(m.x) * m.d
      ELSE m.x + CASE WHEN m.x < 0 THEN -m.d ELSE m.d END END::${base}
    FROM (SELECT m.h, m.x, greatest(${unit}, round(abs(m.x) * ${share}, ${scale})) AS d
      FROM (SELECT ${hash} AS h, ${columnSql}::numeric AS x OFFSET 0) m OFFSET 0) m)`;
  return `CASE WHEN ${columnSql} IS NULL OR ${special} THEN ${columnSql} ELSE ${made} END`;
}

function jsonMask(
  {paths, rest}: Extract<ColumnMask, {mask: 'json'}>,
  column: Column,
  columnSql: string,
): string | Misfit {
  const {baseName, isArray, base} = column;
  if (isArray || !['json', 'jsonb'].includes(baseName))
    return {why: `the mask does not fit the type ${column.declared}`, hint: fitting(column)};
  const value = `${columnSql}::jsonb`;
  const entries = Object.entries(paths).map(([path, mask]) => [jsonSteps(path), mask] as const);
  if (rest === 'remove') {
    const members = entries.map(
      ([[step], mask]) =>
        `SELECT ${quoteLiteral(String(step))}::text AS k, ${jsonLeaf(mask, `((${value}) -> ${quoteLiteral(String(step))})`)} AS x`,
    );
    return `CASE WHEN ${columnSql} IS NULL THEN NULL WHEN jsonb_typeof(${value}) = 'object' THEN
      (SELECT coalesce(jsonb_object_agg(m.k, m.x), '{}'::jsonb)::${base} FROM (${members.join(' UNION ALL ')}) m WHERE m.x IS NOT NULL)
      ELSE '{}'::${base} END`;
  }
  const masked = entries
    .filter(([, mask]) => mask !== 'keep')
    .reduce((made, [steps, mask], index) => jsonStep(made, steps, mask, `j${index}`), value);
  return `(${masked})::${base}`;
}

/** `value` with the masked values at the path; a path that does not exist is ignored. */
function jsonStep(value: string, steps: readonly JsonStep[], mask: JsonMask, name: string): string {
  const wild = steps.findIndex((step) => typeof step === 'symbol');
  const plain = (wild === -1 ? steps : steps.slice(0, wild)).map(String);
  const path = `${quoteLiteral(textArray(plain))}::text[]`;
  const at = plain.length === 0 ? `${name}.v` : `(${name}.v #> ${path})`;
  const set = (made: string): string =>
    plain.length === 0 ? made : `jsonb_set(${name}.v, ${path}, ${made}, false)`;
  let made: string;
  if (wild === -1) made = `CASE WHEN ${at} IS NULL THEN ${name}.v ELSE ${set(jsonLeaf(mask, at))} END`;
  else {
    const below = jsonStep(`${name}e.v`, steps.slice(wild + 1), mask, `${name}b`);
    const inner = wild === steps.length - 1 ? jsonLeaf(mask, `${name}e.v`) : below;
    made =
      steps[wild] === anyElement
        ? `CASE WHEN jsonb_typeof(${at}) = 'array' THEN ${set(`(SELECT coalesce(jsonb_agg(${inner} ORDER BY ${name}e.n), '[]'::jsonb) FROM jsonb_array_elements(${at}) WITH ORDINALITY ${name}e(v, n))`)} ELSE ${name}.v END`
        : `CASE WHEN jsonb_typeof(${at}) = 'object' THEN ${set(`(SELECT coalesce(jsonb_object_agg(${name}e.k, ${inner}), '{}'::jsonb) FROM jsonb_each(${at}) ${name}e(k, v))`)} ELSE ${name}.v END`;
  }
  return `(SELECT ${made} FROM (SELECT ${value} AS v OFFSET 0) ${name})`;
}

/** The masked JSON value; SQL's NULL stays, and so does JSON's null. */
function jsonLeaf(mask: JsonMask, value: string): string {
  if (mask === 'keep') return value;
  if (mask === 'null') return `CASE WHEN ${value} IS NOT NULL THEN 'null'::jsonb END`;
  const text = `(${value} #>> '{}')`;
  return `CASE WHEN ${value} IS NULL THEN NULL WHEN ${text} IS NULL OR ${text} = '' THEN ${value} ELSE to_jsonb(${maskText(mask, text, Number.MAX_SAFE_INTEGER, keyedHash)}) END`;
}

const textArray = (items: readonly string[]): string =>
  `{${items.map((item) => `"${item.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
