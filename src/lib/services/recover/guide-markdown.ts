/** The text of the emergency checklist: eight steps, and the commands to restore without this program. */
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

/** The path or name of each PostgreSQL tool. */
export interface StockTools {
  readonly psql: string;
  readonly pgDump: string;
  readonly pgRestore: string;
  readonly createdb: string;
}

export interface RecoveryFacts {
  readonly now: Date;
  /** Program, id and the flags for the same settings. */
  readonly command: (id: string) => readonly string[];
  readonly folder: string;
  readonly backupsDir: string;
  readonly connection: Connection | undefined;
  /** Intact backups of the database, newest first. */
  readonly backups: readonly Backup[];
  /** The newest complete one that is not a safety backup. */
  readonly newest: Backup | undefined;
  readonly tools: StockTools;
  readonly lastTest: {at: string; restoreDuration: number} | undefined;
  /** The flags that decrypt the newest; empty if it is unencrypted or the config file names its key. */
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
      `Find out what happened: lost or wrong data, a failed migration, or a broken server. Note the time it began, in UTC.`,
      `The database is ${code(where)}; its backups are in ${code(facts.backupsDir)}.`,
      shell(program('doctor'), program('status'), program('list')),
    ],
    [
      'Stop the application',
      'Nothing may write while you decide: a restore loses new rows, or mixes with them. Stop web servers, workers and cron jobs, then list the remaining sessions:',
      shell(
        psql(
          tools,
          connection,
          database,
          'SELECT pid, usename, application_name, state FROM pg_catalog.pg_stat_activity WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()',
        ),
      ),
      'Back up the current state before you change it, even if it is damaged:',
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
      `The database ${code(database)} is not changed. ${timeOf(facts)}`,
      shell(
        program('verify', '--backup-file', file, ...key),
        program('restore', '--backup-file', file, ...key, '--target-db', check, '--create-db'),
      ),
      `Look into ${code(check)}: check that it contains the newest rows you expect.`,
    ],
    [
      'Execute',
      isBeside
        ? 'A plain dump cannot replace this database. Preview, restore into a separate database, then copy the rows from there.'
        : flags.includes('--clean')
          ? 'Preview, then restore over the database: a safety backup is made first, and everything is one transaction.'
          : 'Preview, then restore. The new database replaces the old one only when it is complete and compared; the old one is kept under another name.',
      shell(
        program('restore', ...replacing, '--dry-run'),
        program('restore', ...replacing, ...(isBeside ? [] : ['--confirm-db', database])),
      ),
      ...(!isSwappable(database, newest)
        ? isBeside
          ? []
          : [
              'If the result is wrong, restore the safety backup in the same way; its ID is in the result, and in the list:',
              shell(program('list')),
            ]
        : [
            'If the result is wrong, this swaps the old database back:',
            shell(program('undo', '--target-db', database)),
          ]),
      'If a run was interrupted:',
      shell(program('recover', '--dry-run'), program('recover')),
    ],
    [
      'Verify',
      'The restore compared row counts and fingerprints. Now test as your users would: log in, find the last order, make a test order.',
      shell(program('backup', '--label=after-recovery'), program('history')),
    ],
    [
      'Resume',
      'Start the application, workers and cron jobs. Watch the error logs for an hour. Then check that the schedule runs again:',
      shell(program('schedule', '--check')),
    ],
    [
      'Document',
      'Write down: when it began, who noticed, which backup was used, what was lost, how long each step took, what would have helped. The audit log has the times:',
      shell(program('history', '--json')),
    ],
    [
      'Without this program',
      "The backups are dumps of pg_dump; PostgreSQL's own tools restore them. Use tools of the server's own major version: older ones cannot read the backup, and newer ones may use settings that the server does not know.",
      ...withStockTools(facts, check),
    ],
  ];
  const body = sections.flatMap(([title, ...parts], index) => [
    `## ${index < 8 ? `${index + 1}. ` : ''}${title}`,
    ...parts,
  ]);
  return `${[
    `# Recovery of ${inline(database)}`,
    `Written ${now.toISOString().slice(0, 16).replace('T', ' ')} UTC from the backups at that time. Keep a copy where you can read it when this machine is down, and write it again regularly. Run the commands in ${code(facts.folder)}.`,
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
      'There is no usable backup of this database here. First look in other locations: `destino-db list --from PLACE`.',
    ];
  }
  return [
    '- Testing orders were cleaned by mistake: restore only those rows. No other data changes.',
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
          '- The last restore was wrong: swap back the database that it set aside.',
          shell(program('undo', '--target-db', database)),
        ]),
    '- Data was lost or damaged at a known time: use the newest usable backup before that time.',
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
    '- The whole database is gone: use the newest usable backup.',
    shell(program('restore', '--latest', ...key, '--target-db', database, '--create-db', '--dry-run')),
  ];
}

function backupTable(backups: readonly Backup[], now: Date): string[] {
  if (backups.length === 0) return [];
  const rows = backups.slice(0, shownBackups).map((backup) => {
    const proof = backup.record && standingOfRecord(backup.record).proof;
    return `| ${inline(backup.id)} | ${backup.createdAt.toISOString().slice(0, 19).replace('T', ' ')} | ${formatAge(backup.createdAt, now)} | ${backup.format} | ${backup.content}${backup.label === safetyLabel ? ', from before a restore' : ''} | ${formatBytes(backup.sizeBytes)} | ${proof === null ? 'not proven' : proof.level} |`;
  });
  return [
    [
      '| backup | taken (UTC) | age | format | content | size | proven by |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
  ];
}

/** Data that no backup of the database contains. */
function missingFrom(newest: Backup | undefined): string[] {
  const missing = newest?.record
    ? [...outsideDatabase(newest.record), ...unreadableTables(newest.record), ...excludedRows(newest.record)]
    : [];
  if (!newest || missing.length === 0) return [];
  return [
    `${inline(newest.id)} does not contain data outside the database, hidden from its role or excluded by a pattern. Restore these by other means:`,
    missing.map((one) => `- ${inline(one)}`).join('\n'),
  ];
}

function timeOf({lastTest}: RecoveryFacts): string {
  if (!lastTest)
    return 'The duration was never measured: `destino-db verify --latest --level=restore` measures it.';
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
          'Check that the file is intact. This prints OK:',
          shell(`${shellCommand(['echo', `${sha256}  ${stored}`])} | sha256sum --check`),
        ]
      : []),
    ...decryption(facts, stored, path),
    'The tools ask for the password, or read it from `~/.pgpass`.',
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
      `The service needs the database under its name: copy the missing data from ${code(target)}.`,
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
          'When you have checked that it is complete, swap the names (no session may be connected; the old database is kept):',
          shell(...renames(tools, login, database, target)),
        ]
      : [
          'This database keeps its name: when you have checked that the copy is complete, copy the missing data from it.',
        ]),
  ];
}

/** The commands for a hosting service: over the same project, or into a new one. */
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
    `Restore it over ${code(database)}. The first command backs up the current state. The last one is one transaction: after an error nothing has changed. If a line cannot be restored, remove it from \`yours.txt\` and run the last two commands again.${hasUsers ? ' A foreign key to `auth.users` fails if users were deleted since.' : ''}`,
    shell(...commands.over),
    'Everything belongs to your role now. This command prints the objects of other roles. Give them back with `ALTER … OWNER TO`: a `SECURITY DEFINER` function runs with your rights until then.',
    shell(commands.owners),
    'Or restore it into a new project. Replace `NEW_HOST` and `NEW_USER` by its host and user. Roles come back without passwords:',
    shell(...commands.anew),
    'Remove the files afterwards. They contain your rows unencrypted:',
    shell(shellCommand(['rm', '-f', 'contents.txt', 'yours.txt', 'yours.sql', 'rows.txt', 'rows.sql'])),
  ];
}

/** Path of the decrypted dump; undefined if the dump is not encrypted. */
function plainPath(backup: Backup | undefined): string | undefined {
  if (!backup?.record?.encryption) return undefined;
  return formats[backup.format].isFolder ? `${backup.path}.plain` : backup.path.slice(0, -ageSuffix.length);
}

/** Commands for the age tool, which asks for a passphrase itself. */
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
    'It is encrypted: [age](https://age-encryption.org) decrypts it. Remove the decrypted files afterwards.',
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

/** A block that can be pasted; its fence is longer than any in the commands. */
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
