/** Errors for content that pg_dump never writes into a plain dump: psql commands, and text that can hide them. */
import {AppError} from '../../base/errors.js';

/** Server encodings (manual, 24.3.1). In client-only encodings, a backslash can be a byte of a character. */
const serverEncoding =
  /^(?:EUC_(?:CN|JP|JIS_2004|KR|TW)|ISO_8859_[5-8]|KOI8[RU]?|LATIN(?:[1-9]|10)|MULE_INTERNAL|SQL_ASCII|UTF8|WIN(?:866|874|125[0-8]))$/;

/** Whether a statement changes how psql reads the following text, in a form that pg_dump does not write. */
export function changesReading(statement: string): boolean {
  if (/^SET client_encoding/i.test(statement)) {
    const encoding = /^SET client_encoding = '(\w+)';$/.exec(statement)?.[1];
    return encoding === undefined || !serverEncoding.test(encoding);
  }
  return /^SET\s+(?:SESSION\s+|LOCAL\s+)?(?:NAMES\b|"?(?:client_encoding|standard_conforming_strings)\b)/i.test(
    statement,
  );
}

/** A quote that some version of psql may read differently than this program. */
export function unusualQuote(text: string, at: number): AppError {
  return unsafe(`a quote where pg_dump writes none: ${text.slice(at, at + 60).trimEnd()}`);
}

/** A COPY statement that psql may read differently than this program. */
export function unusualCopy(statement: string): AppError {
  return unsafe(`a COPY statement in an unknown form: ${statement.slice(0, 60)}`);
}

export function unusualSetting(statement: string): AppError {
  return unsafe(`a setting that changes how psql reads the following text: ${statement.slice(0, 60)}`);
}

/** Content that pg_dump never writes, and that can hide commands. */
export function unsafe(what: string): AppError {
  return new AppError('UNSAFE_DUMP', `The dump contains ${what}`, {
    hint: 'Do not restore it; find out where it comes from.',
  });
}

/**
 * CVE-2025-8714: psql runs programs if a dump contains commands for it; pg_dump writes no commands except the restrict pair.
 * @param endsRestriction whether the line ends the restriction of the dump, as pg_dump --create writes it before \connect
 */
export function unsafeCommand(line: string, endsRestriction = false): AppError {
  const isOfCreate = endsRestriction || line.startsWith('\\connect');
  return new AppError(
    'UNSAFE_DUMP',
    `The dump contains a psql command that pg_dump ${isOfCreate ? 'writes only with --create' : 'does not write there'}: ${line.slice(0, 60)}`,
    {
      hint: isOfCreate
        ? 'If the dump was made with --create, make it again without --create. If not, do not restore it; find out where it comes from.'
        : 'Do not restore it; find out where it comes from.',
    },
  );
}
