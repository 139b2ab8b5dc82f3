/** Reads the definitions in a dump's SQL, object by object, with their owners. */
import {filterPlainDump, type DumpSection} from './plain-dump-filter.js';
import {readIdentifier} from './sql/sql-names.js';
import {keptText, TextPool} from '../base/kept-text.js';
import {textOf} from '../postgres/client-encoding.js';

export interface DumpDefinition extends DumpSection {
  /** The statements as pg_dump wrote them, without surrounding comments and without the one that sets the owner. */
  readonly statements: readonly string[];
  readonly ownerStatement: string | undefined;
}

/** Prefix of the line after a plain dump, a comment for all other programs; JSON in ASCII follows. */
export const propertiesPrefix = '-- destino-db: properties of the database: ';
/** The type of the definition that represents that line. */
export const propertiesType = 'DATABASE PROPERTIES LINE';

/** Types of entries with rows, values of sequences or large objects (_tocEntryRequired in pg_backup_archiver.c). */
const dataTypes = new Set([
  'TABLE DATA',
  'SEQUENCE SET',
  'BLOBS',
  'BLOB',
  'BLOB METADATA',
  'STATISTICS DATA',
  'EXTENDED STATISTICS DATA',
]);

/** Statistics contain values of rows. A restore collects its own. */
export function isStatistics({type}: Pick<DumpSection, 'type'>): boolean {
  return type.endsWith('STATISTICS DATA');
}

const ofLargeObjects = new Set(['ACL', 'COMMENT', 'SECURITY LABEL']);

/** Whether the section contains rows, values of sequences, or large objects with their privileges and comments. */
export function isDataSection({type, name}: Pick<DumpSection, 'type' | 'name'>): boolean {
  return dataTypes.has(type) || (ofLargeObjects.has(type) && name.startsWith('LARGE OBJECT'));
}

/**
 * Reads a plain dump, or the output of pg_restore for an archive, to its end; rows are skipped.
 * Memory: the definitions.
 */
export async function readDefinitions(
  sql: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<DumpDefinition[]> {
  const {reads, definitions} = collectDefinitions();
  const rest = filterPlainDump(sql, {keeps: () => false, leavesOut: () => true, reads});
  while ((await rest.next()).done !== true) signal?.throwIfAborted();
  return definitions();
}

interface OpenDefinition extends DumpSection {
  statements: string[];
  owner: string;
  ownerStatement: string | undefined;
}

/** The same as a rule for a plain dump that is being read for another purpose. */
export function collectDefinitions(): {
  readonly reads: (line: Buffer, section: DumpSection | null, isBetween: boolean) => void;
  readonly definitions: () => DumpDefinition[];
} {
  const found: OpenDefinition[] = [];
  const pool = new TextPool();
  let encoding = 'UTF8';
  let current: DumpSection | null = null;
  let statement: string[] = [];
  // Written once, before the first table to which it applies.
  let accessMethod = '';
  const endStatement = (): void => {
    const text = textOf(statement.join('\n'), encoding).trim();
    statement = [];
    const setting = /^SET (client_encoding|default_table_access_method) = (.*);$/.exec(text);
    if (setting?.[1] === 'client_encoding') encoding = (setting[2] ?? '').replaceAll("'", '');
    else if (setting) accessMethod = setting[2] ?? '';
    const open = found.at(-1);
    if (!open || /^(?:SET (?!SESSION AUTHORIZATION)|SELECT pg_catalog\.set_config)/.test(text) || text === '')
      return;
    const owner = /^ALTER [^'$]* OWNER TO (.*);$/s.exec(text)?.[1];
    if (owner === undefined) {
      // Neither `push` nor a spread: an array that grows by those reserves room for sixteen more elements.
      open.statements = open.statements.concat(keptText(text));
      return;
    }
    open.owner = pool.take(readIdentifier(owner, 0)?.name ?? owner);
    open.ownerStatement = keptText(text);
  };
  return {
    reads: (line, section, isBetween) => {
      if (isBetween && statement.length > 0) endStatement();
      if (
        isBetween &&
        line[0] === dash &&
        line.toString('latin1', 0, propertiesPrefix.length) === propertiesPrefix
      ) {
        const json = line.toString('latin1', propertiesPrefix.length);
        found.push({
          type: propertiesType,
          schema: '-',
          name: '',
          owner: '',
          statements: [json],
          ownerStatement: undefined,
        });
        return;
      }
      if (section !== current) {
        current = section;
        if (section && !isDataSection(section)) found.push(begin(section, accessMethod, pool));
        return; // this line is its heading
      }
      // After rows, settings for the next definition may follow.
      if (section && isDataSection(section) && !(isBetween && line.toString('latin1', 0, 4) === 'SET '))
        return;
      if (isBetween && (line.length === 0 || line[0] === dash || line[0] === backslash)) return;
      statement.push(line.toString('latin1'));
    },
    definitions: () => {
      if (statement.length > 0) endStatement();
      return found;
    },
  };
}

const dash = 0x2d;
const backslash = 0x5c;

function begin(section: DumpSection, accessMethod: string, pool: TextPool): OpenDefinition {
  const extras = [
    ...(section.tablespace === undefined ? [] : [`TABLESPACE ${section.tablespace}`]),
    ...(accessMethod !== '' &&
    accessMethod !== 'heap' &&
    ['TABLE', 'MATERIALIZED VIEW'].includes(section.type)
      ? [`ACCESS METHOD ${accessMethod}`]
      : []),
  ];
  // Written out, because an object made by a spread gets its own description in V8, which is larger than itself.
  return {
    type: pool.take(section.type),
    schema: pool.take(section.schema),
    name: keptText(section.name),
    owner: pool.take(section.owner),
    statements: extras,
    ownerStatement: undefined,
  };
}
