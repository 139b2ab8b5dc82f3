/** The end of a file of roles: comments about the server, the last one for this program. */
import {AppError} from '../base/errors.js';
import {type Globals, globalsSchema} from '../postgres/inspect/inspect-globals.js';

const prefix = '-- destino-db globals: ';

/** JSON in one line of ASCII, so that no name or value ends the comment in which it stands. */
function inComment(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The lines to append to the output of pg_dumpall. */
export function globalsLines(globals: Globals): string {
  const {tablespaces, systemSettings} = globals;
  const lines = [
    `Tablespaces: ${tablespaces.length === 0 ? 'none' : tablespaces.map(inComment).join(', ')}`,
    ...(systemSettings === null ? ['Settings by ALTER SYSTEM: not readable by this role'] : []),
    ...(systemSettings ?? []).map(
      ({name, value}) =>
        `By ALTER SYSTEM: ${inComment(name)} ${value === null ? '(value not stored)' : inComment(value)}`,
    ),
  ];
  return `\n${lines.map((line) => `-- ${line}\n`).join('')}${prefix}${inComment(globals)}\n`;
}

/**
 * Reads the last line, because a name of a role can contain one that looks the same.
 * @param id of the backup
 * @throws METADATA_INVALID for a file of a version before this line
 */
export function readGlobals(text: string, id: string): Globals {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  const parsed = line.startsWith(prefix)
    ? globalsSchema.safeParse(parseJson(line.slice(prefix.length)))
    : null;
  if (parsed?.success === true) return parsed.data;
  throw new AppError(
    'METADATA_INVALID',
    `The file of roles of ${id} does not have the line that --with-roles reads. Nothing was changed.`,
    {hint: 'Run the file with psql, or restore without --with-roles.'},
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
