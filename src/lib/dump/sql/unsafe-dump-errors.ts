/** What pg_dump never writes into a plain dump: psql's commands, and what can hide them from a reader. */
import {AppError} from '../../base/errors.js';

/** The encodings of servers (manual, 24.3.1). In those of clients alone, a byte of a character can be a backslash. */
const serverEncoding =
  /^(?:EUC_(?:CN|JP|JIS_2004|KR|TW)|ISO_8859_[5-8]|KOI8[RU]?|LATIN(?:[1-9]|10)|MULE_INTERNAL|SQL_ASCII|UTF8|WIN(?:866|874|125[0-8]))$/;

/** Whether a statement changes, in a way that pg_dump does not write, how psql reads what follows. */
export function changesReading(statement: string): boolean {
  if (/^SET client_encoding/i.test(statement)) {
    const encoding = /^SET client_encoding = '(\w+)';$/.exec(statement)?.[1];
    return encoding === undefined || !serverEncoding.test(encoding);
  }
  return /^SET\s+(?:SESSION\s+|LOCAL\s+)?(?:NAMES\b|"?(?:client_encoding|standard_conforming_strings)\b)/i.test(
    statement,
  );
}

/** A quote that psql, in one version or another, may take in another way than this program. */
export function unusualQuote(text: string, at: number): AppError {
  return unsafe(`a quote where pg_dump writes none: ${text.slice(at, at + 60).trimEnd()}`);
}

/** A COPY statement that psql may read in another way than this program. */
export function unusualCopy(statement: string): AppError {
  return unsafe(`a COPY statement in a form that pg_dump does not write: ${statement.slice(0, 60)}`);
}

export function unusualSetting(statement: string): AppError {
  return unsafe(`a setting that changes how psql reads what follows: ${statement.slice(0, 60)}`);
}

/** Something that pg_dump never writes, and that can hide commands from a reader. */
export function unsafe(what: string): AppError {
  return new AppError('UNSAFE_DUMP', `The dump holds ${what}`, {
    hint: 'Do not restore it; find out who wrote it.',
  });
}

/** CVE-2025-8714: psql runs programs when a dump tells it to; pg_dump writes no commands but the restrict pair. */
export function unsafeCommand(line: string): AppError {
  return new AppError(
    'UNSAFE_DUMP',
    `The dump holds a psql command, which pg_dump does not write there: ${line.slice(0, 60)}`,
    {
      hint: line.startsWith('\\connect')
        ? 'The dump was made with --create; make it again without.'
        : 'Do not restore it; find out who wrote it.',
    },
  );
}
