/** Restores at a hosting service with PostgreSQL's own tools: the objects of the service stay, and a list selects those of the user. */
import {qualifiedName} from '../../base/qualified-name.js';
import {shellCommand} from '../../base/shell-quote.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {inventorySchema} from '../../postgres/inspect/inspect-inventory.js';
import {quoteIdentifier} from '../../postgres/quote.js';

/** Paths of the tools; those that connect are followed by the flags for server and database. */
interface ManagedTools {
  readonly psql: readonly string[];
  readonly pgDump: readonly string[];
  readonly pgRestore: string;
  /** For a project that does not exist yet. */
  readonly newPsql: readonly string[];
}

/** Command lines to run in one folder. */
interface ManagedCommands {
  /** Write the list of the user's objects. */
  readonly list: readonly string[];
  /** Restore them over the same project. */
  readonly over: readonly string[];
  /** Print those that belonged to other roles. */
  readonly owners: string;
  /** Restore them into a new project; at Supabase with users and files. */
  readonly anew: readonly string[];
}

/** Supabase allows users to add policies and objects to these schemas. */
const sharedSchemas = ['auth', 'realtime', 'storage'];

/** Closes objects that this session creates to all other roles. The archive restores the default privileges. */
const closeDefaults = `DO $do$ DECLARE closing pg_catalog.text; BEGIN
  FOR closing IN SELECT pg_catalog.format($q$ALTER DEFAULT PRIVILEGES %s REVOKE ALL ON %s FROM %s$q$,
      CASE WHEN n.oid IS NULL THEN $q$$q$ ELSE pg_catalog.format($q$IN SCHEMA %I$q$, n.nspname) END,
      CASE d.defaclobjtype WHEN $q$r$q$ THEN $q$TABLES$q$ WHEN $q$S$q$ THEN $q$SEQUENCES$q$ WHEN $q$f$q$ THEN $q$FUNCTIONS$q$ WHEN $q$n$q$ THEN $q$SCHEMAS$q$ ELSE $q$TYPES$q$ END,
      CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0 THEN $q$PUBLIC$q$ ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.defaclnamespace
   CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
   WHERE pg_catalog.pg_get_userbyid(d.defaclrole) OPERATOR(pg_catalog.=) current_user AND a.grantee OPERATOR(pg_catalog.<>) d.defaclrole
     AND (n.oid IS NOT NULL OR a.grantee OPERATOR(pg_catalog.<>) 0)
  LOOP EXECUTE closing; END LOOP; END $do$`;

const ownedTypes =
  'SCHEMA|TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN';

/** The commands for an archive of a database at a service. @param path of the decrypted dump */
export function managedCommands(record: BackupRecord, path: string, tools: ManagedTools): ManagedCommands {
  const {kept, dropped} = patternsOf(record);
  const owner = escapePattern(record.source.owner);
  const write = (list: string, file: string, ...flags: string[]): string =>
    shellCommand([
      tools.pgRestore,
      ...flags,
      '--no-owner',
      '--use-list',
      `${list}.txt`,
      '--file',
      `${file}.sql`,
      path,
    ]);
  const run = (psql: readonly string[], ...steps: string[]): string =>
    shellCommand([...psql, '-X', '-v', 'ON_ERROR_STOP=1', '--single-transaction', ...steps]);
  const load = ['-c', closeDefaults, '-f', 'yours.sql'];
  const rows = rowsPattern(record);
  return {
    list: [
      `${shellCommand([tools.pgRestore, '--list', path])} > contents.txt`,
      // The first matching pattern applies.
      `${shellCommand(['sed', '-E', '-e', `/${kept}/b`, '-e', `/${dropped}/d`, 'contents.txt'])} > yours.txt`,
    ],
    over: [
      shellCommand([...tools.pgDump, '--format', 'custom', '--file', 'before-restore.dump']),
      write('yours', 'yours', '--clean', '--if-exists'),
      run(tools.psql, ...load),
    ],
    owners: shellCommand(['sed', '-nE', `/^[0-9; ]+(${ownedTypes}) /{/ ${owner}$/!p;}`, 'yours.txt']),
    anew: [
      write('yours', 'yours'),
      ...(rows === null
        ? []
        : [
            `${shellCommand(['sed', '-nE', `/${rows}/{/ ${owner}$/!p;}`, 'contents.txt'])} > rows.txt`,
            write('rows', 'rows', '--data-only'),
          ]),
      run(
        tools.newPsql,
        ...prerequisites(record).flatMap((statement) => ['-c', statement]),
        ...(rows === null
          ? []
          : [
              ...['-c', 'SET session_replication_role TO replica', '-f', 'rows.sql'],
              ...['-c', 'RESET session_replication_role'],
            ]),
        ...load,
      ),
    ],
  };
}

/** Filters a plain dump for a separate database: no owners, and no rows of tables that cannot be created there. */
export function plainDumpFilter({inventory}: BackupRecord): string {
  const schemas = (inventory.platform?.schemas ?? []).filter((name) => !['auth', 'storage'].includes(name));
  const rows = `/^COPY "?${oneOf(schemas)}"?\\./,/^\\\\\\.$/d`;
  return shellCommand(['sed', '-E', '-e', '/^ALTER .* OWNER TO .*;$/d', '-e', rows]);
}

const notInSchemas = 'EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|DATABASE';

/** The numbers before the type in a line of `pg_restore --list`. */
const start = '^[0-9; ]+';

/** For sed -E: the lines of `pg_restore --list` that are kept, and those of the others that are dropped. */
function patternsOf({inventory, source, tables}: BackupRecord): {kept: string; dropped: string} {
  const {schemas = [], roles = []} = inventory.platform ?? {};
  const owned = new Set(tables.map(({schema}) => schema).filter((schema) => !schemas.includes(schema)));
  const ofExtensions = extensionsOf(inventory).map(({schema}) => schema);
  const foreign = [...schemas, ...ofExtensions.filter((schema) => schema !== 'public' && !owned.has(schema))];
  const shared = oneOf(sharedSchemas.filter((schema) => schemas.includes(schema)));
  const mine = `.* ${escapePattern(source.owner)}$`;
  return {
    kept: [
      `${start}DEFAULT ACL ${mine}`,
      `${start}POLICY ${shared} `,
      `${start}COMMENT ${shared} POLICY `,
      `${start}(TRIGGER auth|COMMENT auth TRIGGER) `,
      `${start}[A-Z ]+ ${shared} ${mine}`,
    ].join('|'),
    dropped: [
      `${start}[A-Z ]+ ${oneOf(foreign)} `,
      `${start}(SCHEMA -|[A-Z ]+ - SCHEMA) ${oneOf(['public', ...schemas, ...ofExtensions])} `,
      `${start}(${notInSchemas}) - `,
      `${start}[A-Z ]+ - (${notInSchemas}) `,
      ` ${oneOf(roles)}$`,
    ].join('|'),
  };
}

/** The users and files of a Supabase project; null if there are none. */
function rowsPattern({inventory, tables}: BackupRecord): string | null {
  const names = (wanted: string): string =>
    oneOf(
      tables.flatMap(({schema, name, rows}) =>
        schema === wanted &&
        rows !== 0 &&
        !/(?:^|_)migrations$/.test(name) &&
        inventory.platform?.tables.includes(qualifiedName({schema, name})) === true
          ? [name]
          : [],
      ),
    );
  if (names('auth') + names('storage') === oneOf([]) + oneOf([])) return null;
  return `${start}(TABLE DATA (auth ${names('auth')}|storage ${names('storage')})|SEQUENCE SET (auth|storage)) `;
}

/** Statements that a new project needs before the archive. */
function prerequisites({inventory, source}: BackupRecord): string[] {
  const {extensions = [], roles = []} = inventory.platform ?? {};
  const details = inventorySchema.shape.roleDetails.safeParse(inventory['roleDetails']).data ?? [];
  const ownRoles = details.filter(({name}) => !roles.includes(name) && name !== source.owner);
  const own = extensionsOf(inventory).filter(
    ({name, schema}) => !extensions.includes(name) && schema !== 'pg_catalog',
  );
  return [
    ...ownRoles.flatMap(({name, canLogin, inherits}) => [
      `CREATE ROLE ${quoteIdentifier(name)} ${canLogin ? 'LOGIN' : 'NOLOGIN'} ${inherits ? 'INHERIT' : 'NOINHERIT'}`,
      `GRANT ${quoteIdentifier(name)} TO CURRENT_USER`,
    ]),
    ...[...new Set(own.map(({schema}) => schema))].map(
      (schema) => `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`,
    ),
    ...own.map(
      ({name, schema}) =>
        `CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(name)} SCHEMA ${quoteIdentifier(schema)}`,
    ),
  ];
}

function extensionsOf(inventory: BackupRecord['inventory']): {name: string; schema: string}[] {
  return inventorySchema.shape.extensions.safeParse(inventory['extensions']).data ?? [];
}

/** Any of the words; without words, a pattern that matches no line. */
function oneOf(words: readonly string[]): string {
  return `(${words.length > 0 ? words.map(escapePattern).join('|') : '$.'})`;
}

/** For sed -E between slashes. */
function escapePattern(text: string): string {
  return text.replace(/[\\/.*+?^${}()|[\]]/g, '\\$&');
}
