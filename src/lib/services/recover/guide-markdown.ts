/** The text of the emergency checklist: eight steps, and the way without this program. */
import {join, relative} from 'node:path';
import {formats} from '../../base/formats.js';
import {type Backup, safetyLabel} from '../../catalog/catalogue.js';
import {excludedRows, outsideDatabase, unreadableTables} from '../../catalog/outside-database.js';
import {isSwappable, replacingFlags} from '../../catalog/replacing-flags.js';
import {formatAge, formatBytes, formatDuration} from '../../base/format.js';
import {orderBackupFolder} from '../../catalog/order-backup-name.js';
import {type Connection, describeConnection} from '../../postgres/connect/connection.js';
import {shellCommand} from '../../base/shell-quote.js';
import {type BackupRecord, isOfPlatform, standingOfRecord} from '../../catalog/backup-record.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {managedCommands, plainDumpFilter} from './managed-restore.js';

/** How each of PostgreSQL's own tools is called in a command line. */
export interface StockTools {
  readonly psql: string;
  readonly pgDump: string;
  readonly pgRestore: string;
  readonly createdb: string;
}

export interface RecoveryFacts {
  readonly now: Date;
  /** Program, id and flags that name the same settings. */
  readonly command: (id: string) => readonly string[];
  readonly folder: string;
  readonly backupsDir: string;
  readonly connection: Connection | undefined;
  /** Good ones of the database, newest first. */
  readonly backups: readonly Backup[];
  /** The newest of them that is of the whole database and no safety backup. */
  readonly newest: Backup | undefined;
  readonly tools: StockTools;
  readonly lastTest: {at: string; restoreDuration: number} | undefined;
  /** The flags that open the newest; none where it is plain or the config file knows its key. */
  readonly key: readonly string[];
  readonly identityFile: string;
}

const shownBackups = 10;

/** The guide as Markdown. */
export function recoveryMarkdown(facts: RecoveryFacts): string {
  const {backups, connection, newest, now, tools, key} = facts;
  const database = connection?.database ?? newest?.database ?? 'DATABASE';
  const file = newest ? relative(facts.folder, newest.path) : 'BACKUP_FILE';
  const check = `${database}_check`;
  const program = (id: string, ...words: string[]): string => shellCommand([...facts.command(id), ...words]);
  const flags = replacingFlags(database, newest, ['--target-db', database]);
  const replacing = ['--backup-file', file, ...key, ...flags];
  const isBeside = flags.includes('--create-db');
  const where = connection
    ? describeConnection(connection)
    : 'the database (no URL was set when this was written)';
  const sections: [string, ...string[]][] = [
    [
      'Assess',
      `What is wrong: data gone or wrong, a failed migration, or the server itself? Note the time it began, in UTC.`,
      `The database is ${code(where)}; its backups are in ${code(facts.backupsDir)}.`,
      shell(program('doctor'), program('status'), program('list')),
    ],
    [
      'Stop the application',
      'Nothing may write while you decide: what is written now is lost by a restore, or mixes with it. Stop web servers, workers and cron jobs, then see who is still connected:',
      shell(
        psql(
          tools,
          connection,
          database,
          'SELECT pid, usename, application_name, state FROM pg_catalog.pg_stat_activity WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()',
        ),
      ),
      'Save what is there before you change it, even when it is damaged:',
      shell(program('backup', '--label=before-recovery')),
    ],
    [
      'Choose a strategy',
      ...strategies(facts, database, program),
      ...backupTable(backups, now),
      ...missingFrom(newest),
    ],
    [
      'Test the restore on a separate database',
      `The database ${code(database)} is not touched. ${timeOf(facts)}`,
      shell(
        program('verify', '--backup-file', file, ...key),
        program('restore', '--backup-file', file, ...key, '--target-db', check, '--create-db'),
      ),
      `Look into ${code(check)}: are the newest rows you expect there?`,
    ],
    [
      'Execute',
      isBeside
        ? 'A plain dump cannot replace this database. Preview, restore beside it, then copy from there.'
        : flags.includes('--clean')
          ? 'Preview, then restore over the database: a safety backup is made first, and everything is one transaction.'
          : 'Preview, then restore. The old database stays under another name until the new one is complete and compared.',
      shell(
        program('restore', ...replacing, '--dry-run'),
        program('restore', ...replacing, ...(isBeside ? [] : ['--confirm-db', database])),
      ),
      ...(!isSwappable(database, newest)
        ? isBeside
          ? []
          : [
              'If it was the wrong choice, restore the safety backup in the same way; its ID is in the result, and in the list:',
              shell(program('list')),
            ]
        : [
            'If it was the wrong choice, this swaps the old database back:',
            shell(program('undo', '--target-db', database)),
          ]),
      'If a run was interrupted:',
      shell(program('recover', '--dry-run'), program('recover')),
    ],
    [
      'Verify',
      'Row counts and fingerprints were compared by the restore. Now look as your users do: log in, find the last order, place a test order.',
      shell(program('backup', '--label=after-recovery'), program('history')),
    ],
    [
      'Resume',
      'Start the application, workers and cron jobs. Watch errors for an hour. Then see that the schedule runs again:',
      shell(program('schedule', '--check')),
    ],
    [
      'Document',
      'Write down: when it began, who noticed, which backup was used, what was lost, how long each step took, what would have helped. The audit log has the times:',
      shell(program('history', '--json')),
    ],
    [
      'Without this program',
      "The backups are what pg_dump writes; PostgreSQL's own tools restore them. Take tools of the server's own major version: older ones cannot read the backup, and newer ones set what the server does not know.",
      ...withStockTools(facts, check),
    ],
  ];
  const body = sections.flatMap(([title, ...parts], index) => [
    `## ${index < 8 ? `${index + 1}. ` : ''}${title}`,
    ...parts,
  ]);
  return `${[
    `# Recovery of ${inline(database)}`,
    `Written ${now.toISOString().slice(0, 16).replace('T', ' ')} UTC from the backups there were then. Keep a copy where you can read it when this machine is down, and write it anew now and then. Run the commands in ${code(facts.folder)}.`,
    ...body,
  ].join('\n\n')}\n`;
}

function strategies(
  {newest, folder, backupsDir, key}: RecoveryFacts,
  database: string,
  program: (id: string, ...words: string[]) => string,
): string[] {
  if (!newest) {
    return [
      'There is no good backup of this database here. Look at other places (`destino-db list --from PLACE`) before anything else.',
    ];
  }
  return [
    '- Testing orders were cleaned by mistake: put back those rows alone. No other data is touched.',
    shell(
      program(
        'orders:restore',
        '--backup-file',
        relative(folder, join(backupsDir, orderBackupFolder, 'FILE.json')),
      ),
    ),
    ...(!isSwappable(database, newest)
      ? []
      : [
          '- The last restore was wrong: swap the database back that it set aside.',
          shell(program('undo', '--target-db', database)),
        ]),
    '- Data was lost or spoilt at a known time: take the newest good backup from before it.',
    shell(
      program(
        'restore',
        '--at',
        newest.createdAt.toISOString(),
        ...key,
        ...replacingFlags(database, newest, ['--target-db', database]),
        '--dry-run',
      ),
    ),
    '- The whole database is gone: take the newest good backup.',
    shell(program('restore', '--latest', ...key, '--target-db', database, '--create-db', '--dry-run')),
  ];
}

function backupTable(backups: readonly Backup[], now: Date): string[] {
  if (backups.length === 0) return [];
  const rows = backups.slice(0, shownBackups).map((backup) => {
    const proof = backup.record && standingOfRecord(backup.record).proof;
    return `| ${inline(backup.id)} | ${backup.createdAt.toISOString().slice(0, 19).replace('T', ' ')} | ${formatAge(backup.createdAt, now)} | ${backup.format} | ${backup.content}${backup.label === safetyLabel ? ', of before a restore' : ''} | ${formatBytes(backup.sizeBytes)} | ${proof === null ? 'not proven' : proof.level} |`;
  });
  return [
    [
      '| backup | taken (UTC) | age | format | content | size | proven by |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
  ];
}

/** What no backup of the database brings back. */
function missingFrom(newest: Backup | undefined): string[] {
  const missing = newest?.record
    ? [...outsideDatabase(newest.record), ...unreadableTables(newest.record), ...excludedRows(newest.record)]
    : [];
  if (!newest || missing.length === 0) return [];
  return [
    `${inline(newest.id)} does not contain what is outside of the database, hidden from its role or excluded by a pattern. Restore these by other means:`,
    missing.map((one) => `- ${inline(one)}`).join('\n'),
  ];
}

function timeOf({lastTest}: RecoveryFacts): string {
  if (!lastTest)
    return 'How long it takes was never measured: `destino-db verify --latest --level=restore` does that.';
  return `The last restore test (${lastTest.at.slice(0, 10)}) took ${formatDuration(lastTest.restoreDuration)}.`;
}

function withStockTools(facts: RecoveryFacts, target: string): string[] {
  const {tools, newest: backup, connection} = facts;
  const record = isOfPlatform(backup?.record) ? backup?.record : undefined;
  const database = backup?.database ?? connection?.database ?? 'DATABASE';
  const login = connection ? loginOf(connection) : ['--host', 'HOST', '--port', '5432', '--username', 'USER'];
  const stored = backup?.path ?? '/PATH/TO/BACKUP.dump';
  const path = plainPath(backup) ?? stored;
  const sha256 = backup?.record?.sha256;
  const {isArchive, takesJobs} = formats[backup?.format ?? 'custom'];
  const before = [
    ...(typeof sha256 === 'string'
      ? [
          'Is the file as it was written? This prints OK:',
          shell(`${shellCommand(['echo', `${sha256}  ${stored}`])} | sha256sum --check`),
        ]
      : []),
    ...decryption(facts, stored, path),
    'The tools ask for the password, or take it from `~/.pgpass`.',
  ];
  if (record && isArchive) return [...before, ...overManaged(facts, record, path, login)];
  const create = shellCommand([tools.createdb, ...login, '--template=template0', target]);
  const psqlTo = (...flags: string[]): string =>
    shellCommand([tools.psql, ...login, '-X', ...flags, '--dbname', target]);
  const read = shellCommand([...(path.endsWith('.gz') ? ['gunzip', '-c'] : ['cat']), path]);
  if (record)
    return [
      ...before,
      "A plain dump cannot be restored in parts. Load it into another database, without owners. The errors name the service's extensions and event triggers; your tables are complete:",
      shell(create, `${read} | ${plainDumpFilter(record)} | ${psqlTo('-q')}`),
      `The service needs the database under its name: copy what is missing from ${code(target)}.`,
    ];
  const load = !isArchive
    ? `${read} | ${psqlTo('-v', 'ON_ERROR_STOP=1', '--single-transaction')}`
    : shellCommand([
        tools.pgRestore,
        ...login,
        '--no-owner',
        '--no-privileges',
        '--exit-on-error',
        ...(takesJobs ? ['--jobs=4'] : ['--single-transaction']),
        '--dbname',
        target,
        path,
      ]);
  return [
    ...before,
    shell(create, load),
    ...(isSwappable(database, backup)
      ? [
          'When it is complete and looked at, swap the names (nobody may be connected; the old database stays):',
          shell(...renames(tools, login, database, target)),
        ]
      : [
          'This database keeps its name: when the copy is complete and looked at, copy from there what is missing.',
        ]),
  ];
}

/** At a service: over the same project, or into a new one. */
function overManaged(
  {tools, connection, newest}: RecoveryFacts,
  record: BackupRecord,
  path: string,
  login: readonly string[],
): string[] {
  const database = connection?.database ?? newest?.database ?? 'DATABASE';
  const to = (name: string): string[] => ['--dbname', name];
  const commands = managedCommands(record, path, {
    psql: [tools.psql, ...login, ...to(database)],
    pgDump: [tools.pgDump, ...login, ...to(database)],
    pgRestore: tools.pgRestore,
    newPsql: [
      tools.psql,
      ...['--host', 'NEW_HOST', '--port', '5432', '--username', 'NEW_USER'],
      ...to(database),
    ],
  });
  const hasUsers = record.inventory.platform?.schemas.includes('auth') === true;
  return [
    'The service keeps its own schemas, extensions and event triggers. `yours.txt` lists everything else; read it before you go on:',
    shell(...commands.list),
    `Restore it over ${code(database)}. The first command saves the present state. The last one is one transaction: after an error nothing has changed. Remove a line that cannot be restored from \`yours.txt\`, and run the last two again.${hasUsers ? ' A foreign key to `auth.users` fails where users were deleted since.' : ''}`,
    shell(...commands.over),
    'Everything belongs to your role now. This command prints the objects of other roles. Give them back with `ALTER … OWNER TO`: a `SECURITY DEFINER` function runs with your rights until then.',
    shell(commands.owners),
    'Or restore it into a new project. Write its host and user in place of `NEW_HOST` and `NEW_USER`. Roles come back without passwords:',
    shell(...commands.anew),
    'Remove the files afterwards. They contain your rows in plain text:',
    shell(shellCommand(['rm', '-f', 'contents.txt', 'yours.txt', 'yours.sql', 'rows.txt', 'rows.sql'])),
  ];
}

/** Where the decrypted dump is put; undefined for one that is plain. */
function plainPath(backup: Backup | undefined): string | undefined {
  if (!backup?.record?.encryption) return undefined;
  return formats[backup.format].isFolder ? `${backup.path}.plain` : backup.path.slice(0, -ageSuffix.length);
}

/** With the age tool, which asks for a passphrase itself. */
function decryption({newest, identityFile}: RecoveryFacts, stored: string, path: string): string[] {
  const encryption = newest?.record?.encryption;
  if (!newest || !encryption) return [];
  const age = ['age', '-d', ...(encryption.recipients.length > 0 ? ['-i', identityFile] : []), '-o'];
  const commands = formats[newest.format].isFolder
    ? [
        shellCommand(['mkdir', path]),
        `for file in ${shellCommand([`${stored}/`])}*.age; do ${shellCommand(age)} ${shellCommand([`${path}/`])}"$(basename "$file" .age)" "$file"; done`,
      ]
    : [shellCommand([...age, path, stored])];
  return [
    'It is encrypted: [age](https://age-encryption.org) opens it. Remove the plain files afterwards.',
    shell(...commands),
  ];
}

function renames(tools: StockTools, login: readonly string[], database: string, target: string): string[] {
  const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
  const rename = (from: string, to: string): string[] => [
    '-c',
    `ALTER DATABASE ${quote(from)} RENAME TO ${quote(to)}`,
  ];
  return [
    shellCommand([
      tools.psql,
      ...login,
      '-X',
      '-v',
      'ON_ERROR_STOP=1',
      '--dbname',
      'postgres',
      ...rename(database, `${database}_old`),
      ...rename(target, database),
    ]),
  ];
}

function psql(
  tools: StockTools,
  connection: Connection | undefined,
  database: string,
  statement: string,
): string {
  const login = connection ? loginOf(connection) : [];
  return shellCommand([tools.psql, ...login, '--dbname', database, '-c', statement]);
}

function loginOf({host, port, user}: Connection): string[] {
  return ['--host', host, '--port', String(port), '--username', user];
}

/** A block that can be pasted; longer fences than any in the commands keep it whole. */
function shell(...commands: string[]): string {
  const fence = '`'.repeat(
    Math.max(3, ...[...commands.join('\n').matchAll(/`+/g)].map(([ticks]) => ticks.length + 1)),
  );
  return [`${fence}sh`, ...commands, fence].join('\n');
}

/** A name in running text or in a table. */
function inline(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, '\\$&').replace(/\s+/g, ' ');
}

function code(text: string): string {
  return text.includes('`') ? inline(text) : `\`${text.replace(/\s+/g, ' ')}\``;
}
