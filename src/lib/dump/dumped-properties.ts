/** The settings and the comment of a database in its dump: entries of an archive, or one line after a plain dump. */
import {gzipSync} from 'node:zlib';
import {z} from 'zod';
import {
  type DatabaseProperties,
  type HeldProperties,
  listSettings,
} from '../postgres/databases/database-properties.js';
import {quoteIdentifier} from '../postgres/quote.js';
import {type DumpDefinition, propertiesPrefix, propertiesType} from './dump-definitions.js';
import {readIdentifier} from './sql/sql-names.js';

const lineSchema = z.object({
  settings: z.array(z.object({role: z.string().nullable(), setting: z.string()})),
  comment: z.string().nullable(),
});

/** The line to append to a plain dump. @param isCompressed whether the dump is gzipped; the line is then an additional member */
export function propertiesLine(
  {databaseSettings, databaseComment}: HeldProperties,
  isCompressed: boolean,
): Buffer {
  const json = JSON.stringify({settings: databaseSettings, comment: databaseComment});
  const ascii = json.replace(
    /[\u0080-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const line = Buffer.from(`\n${propertiesPrefix}${ascii}\n`);
  return isCompressed ? gzipSync(line) : line;
}

/** The properties in the dump; null for a plain dump without that line, as pg_dump writes it. */
export function dumpedProperties(definitions: readonly DumpDefinition[]): HeldProperties | null {
  const line = definitions.find(({type}) => type === propertiesType);
  if (line) return fromLine(line.statements[0] ?? '');
  if (!definitions.some(({type}) => type === 'DATABASE')) return null;
  const settings: DatabaseProperties['databaseSettings'] = [];
  let comment: string | null = null;
  for (const {type, name, statements} of definitions) {
    if (type === 'DATABASE PROPERTIES') settings.push(...statements.flatMap(readSetting));
    if (type === 'COMMENT' && name.startsWith('DATABASE '))
      comment =
        literalsIn(/^COMMENT ON DATABASE [^]* IS ([^]*);$/.exec(statements[0] ?? '')?.[1] ?? '')[0] ?? null;
  }
  return {databaseSettings: settings, databaseComment: comment};
}

function fromLine(json: string): HeldProperties | null {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch {
    return null; // a foreign line
  }
  const parsed = lineSchema.safeParse(data);
  return parsed.success
    ? {databaseSettings: parsed.data.settings, databaseComment: parsed.data.comment}
    : null;
}

/** `ALTER DATABASE name SET key TO 'value';` and `ALTER ROLE role IN DATABASE ...` (makeAlterConfigCommand in dumputils.c). */
function readSetting(statement: string): DatabaseProperties['databaseSettings'] {
  const [head = '', kind] = /^ALTER (DATABASE|ROLE) /.exec(statement) ?? [];
  const isOfRole = kind === 'ROLE';
  const first = kind === undefined ? undefined : readIdentifier(statement, head.length);
  if (!first) return [];
  let {end} = first;
  if (isOfRole) {
    if (!statement.startsWith(' IN DATABASE ', end)) return [];
    const database = readIdentifier(statement, end + ' IN DATABASE '.length);
    if (!database) return [];
    ({end} = database);
  }
  if (!statement.startsWith(' SET ', end)) return [];
  const key = readIdentifier(statement, end + ' SET '.length);
  if (!key || !statement.startsWith(' TO ', key.end)) return [];
  const values = literalsIn(statement.slice(key.end + ' TO '.length));
  const value = listSettings.has(key.name.toLowerCase())
    ? values.map(quoteIdentifier).join(', ')
    : values.join(', ');
  return [{role: isOfRole ? first.name : null, setting: `${key.name}=${value}`}];
}

/** The strings of a list of SQL literals. */
function literalsIn(sql: string): string[] {
  return [...sql.matchAll(/E'((?:[^'\\]|\\[^]|'')*)'|'((?:[^']|'')*)'/g)].map(([, escaped, plain = '']) =>
    (escaped === undefined ? plain : escaped.replace(/\\([^])/g, '$1')).replaceAll("''", "'"),
  );
}
