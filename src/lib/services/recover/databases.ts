/** Finds leftovers of interrupted runs on the server: working databases, unfinished renames, databases closed to sessions. */
import {setTimeout as delay} from 'node:timers/promises';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, withDatabase} from '../../postgres/connect/connection.js';
import {
  type OwnerComment,
  type ListedDatabase,
  listDatabases,
  ownerCommentStatement,
  timeInDatabaseName,
  whyDoubtful,
} from '../../postgres/databases/owner-comment.js';
import {dropWorkDatabase} from '../../postgres/databases/create-database.js';
import {inspectTables} from '../../postgres/inspect/inspect-database.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {dropScratchRole, listScratchRoles} from '../../postgres/databases/scratch-role.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {formatAge, formatBytes} from '../../base/format.js';
import {describeProcess, livenessOf} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import type {JournalEntry, LeftJournal} from '../../run/journal.js';
import {abandonedAfterMs, type Leftover} from './leftover.js';

interface Found {
  readonly ctx: RunContext;
  readonly connection: Connection;
  readonly databases: ReadonlyMap<string, ListedDatabase>;
  /** Working databases that are certainly ours: listed in a journal of this installation, or named by the user. */
  readonly known: ReadonlySet<string>;
  /** Whether databases that are missing now can no longer appear. */
  readonly isFinal: boolean;
}

/**
 * Finds databases by their owner comments, with or without a journal, and checks the entries in journals of dead runs.
 * The state of the server decides; a journal only says where to look.
 * @param named databases that the user wants to drop
 * @throws the errors of connecting
 */
export async function findLeftoverDatabases(
  ctx: RunContext,
  connection: Connection,
  journals: readonly LeftJournal[],
  named: readonly string[] = [],
): Promise<Leftover[]> {
  const entries = journals
    .filter((journal) => journal.liveness === 'dead')
    .flatMap((journal) => journal.unfinished)
    .filter((entry) => 'server' in entry && isSameServer(entry.server, connection));
  const {listed, roles, isFinal} = await withMaintenanceSession(
    connection,
    async (session) => {
      const isFinal = await waitForPending(session, entries);
      return {
        listed: await listDatabases(session),
        roles: await listScratchRoles(session),
        isFinal,
      };
    },
    {signal: ctx.signal},
  );
  const found: Found = {
    ctx,
    connection,
    databases: new Map(listed.map((database) => [database.name, database])),
    known: new Set([...named, ...entries.flatMap((entry) => (isMaking(entry) ? [entry.database] : []))]),
    isFinal,
  };
  const leftovers: Leftover[] = [];
  for (const database of listed) {
    if (database.mark) leftovers.push(...(await leftoverOfComment(found, database, database.mark)));
  }
  for (const entry of entries) leftovers.push(...(await leftoverOfEntry(found, entry)));
  for (const role of roles) {
    // A role is dropped with its database, or alone if the database no longer exists or was never created.
    if (!found.databases.has(role.name))
      leftovers.push(...(await leftoverOfRole(found, role.name, role.mark)));
  }
  const seen = new Set<string>();
  return leftovers.filter((one) => {
    const key = `${one.what} ${one.action}`;
    return !seen.has(key) && seen.add(key);
  });
}

const attempts = 100;
const betweenAttemptsMs = 50;

/**
 * The server finishes the statement of a killed program before it notices; CREATE DATABASE takes a while. A missing database of a
 * journal may therefore still appear while any session of this program is open.
 * @returns whether there is no such session, or all databases exist
 */
async function waitForPending(session: Session, entries: readonly JournalEntry[]): Promise<boolean> {
  const names = entries.flatMap((entry) => (isMaking(entry) ? [entry.database] : []));
  for (let attempt = 1; ; attempt += 1) {
    const [row] = await session.query(
      `SELECT (SELECT count(*) FROM pg_catalog.pg_database WHERE datname = ANY ($1)) AS there,
              (SELECT count(*) FROM pg_catalog.pg_stat_activity
                WHERE application_name = 'destino-db' AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()) AS sessions`,
      [names],
    );
    if (row?.['sessions'] === '0' || Number(row?.['there']) === new Set(names).size) return true;
    if (attempt === attempts) return false;
    await delay(betweenAttemptsMs);
  }
}

function isMaking(
  entry: JournalEntry,
): entry is Extract<JournalEntry, {kind: 'scratch-database' | 'staging-database'}> {
  return entry.kind === 'scratch-database' || entry.kind === 'staging-database';
}

/** Whether a journal's entry is about the server that the settings name. */
export function isSameServer(
  server: {readonly host: string; readonly port: number},
  connection: Connection,
): boolean {
  return server.host === connection.host && server.port === connection.port;
}

async function leftoverOfComment(
  found: Found,
  database: ListedDatabase,
  mark: OwnerComment,
): Promise<Leftover[]> {
  if (mark.kind === 'set-aside') return [];
  const kind = mark.kind === 'staging' ? 'staging-database' : 'scratch-database';
  const what = {kind, what: database.name} as const;
  const liveness = mark.owner ? await livenessOf(mark.owner) : 'elsewhere';
  if (liveness === 'alive' && mark.owner)
    return [{...what, action: 'leave', reason: `its run is still running (${describeProcess(mark.owner)})`}];
  // It already replaced the database: the swap was committed, and only the owner comment remained.
  if (database.name === mark.database) {
    const comment = mark.comment === null ? 'NULL' : quoteLiteral(mark.comment);
    const sql = `COMMENT ON DATABASE ${quoteIdentifier(database.name)} IS ${comment}`;
    return [
      {
        ...what,
        action: 'unmark',
        reason: 'it is the restored database itself',
        run: () => execute(found, [sql]),
      },
    ];
  }
  const now = found.ctx.clock.now();
  const doubt = whyDoubtful(database, mark, [...found.databases.values()], now);
  if (doubt !== undefined && !found.known.has(database.name)) {
    const reason = `its comment says that it is a working database, but it ${doubt}${factsOf(database, mark, now)}; if you do not need it, drop it with --drop-db`;
    return [{...what, action: 'leave', reason}];
  }
  const ageMs = now.getTime() - Date.parse(mark.at);
  if (liveness === 'elsewhere' && (database.sessions > 0 || ageMs < abandonedAfterMs)) {
    const who = mark.owner ? `its run on ${mark.owner.host}` : 'its run';
    return [
      {
        ...what,
        action: 'leave',
        reason: `${who} may still be running; after a day without sessions the database counts as abandoned`,
      },
    ];
  }
  return [dropLeftover(found, what, database, factsOf(database, mark, now))];
}

/** " (owner shop, 3 days old, 1.2 GB)" */
function factsOf({owner, sizeBytes}: ListedDatabase, {at}: OwnerComment, now: Date): string {
  const size = sizeBytes === null ? 'size unknown' : formatBytes(sizeBytes);
  return ` (owner ${owner}, created ${formatAge(new Date(at), now)}, ${size})`;
}

async function leftoverOfEntry(found: Found, entry: JournalEntry): Promise<Leftover[]> {
  switch (entry.kind) {
    case 'scratch-database':
    case 'staging-database': {
      const database = found.databases.get(entry.database);
      const what = {kind: entry.kind, what: entry.database} as const;
      if (!database && !found.isFinal) return [{...what, action: 'leave', reason: mayAppear}];
      if (!database || database.mark) return []; // never created, already dropped, or found by its comment
      if (await isEmpty(found, database)) return [dropLeftover(found, what, database)];
      return [
        {
          ...what,
          action: 'leave',
          reason:
            'it has tables and no owner comment of this program; drop it yourself if you do not need it',
        },
      ];
    }
    case 'no-connections':
      return reopen(found, [entry.database]);
    case 'swap': {
      const aside = found.databases.get(entry.setAside);
      const withoutComment: Leftover[] =
        aside && !aside.mark && found.databases.has(entry.target)
          ? [commentSetAside(found, entry.setAside, entry.target)]
          : [];
      return [...reopen(found, [entry.target, entry.setAside, entry.staging]), ...withoutComment];
    }
    default:
      return [];
  }
}

const mayAppear =
  'it does not exist, but may still be created: this program has open sessions on the server; run recover again when they have ended';

function dropLeftover(
  found: Found,
  what: {readonly kind: 'staging-database' | 'scratch-database'; readonly what: string},
  database: ListedDatabase,
  facts = '',
): Leftover {
  return {
    ...what,
    action: 'drop',
    reason: `its run has ended${facts}`,
    // This also ends the sessions of tools that outlived their run.
    run: () =>
      withMaintenanceSession(
        found.connection,
        async (session) => {
          await dropWorkDatabase(session, found.connection, database.name);
          if (what.kind === 'scratch-database') await dropScratchRole(session, database.name);
        },
        {signal: found.ctx.signal},
      ),
  };
}

async function leftoverOfRole(found: Found, name: string, mark: OwnerComment): Promise<Leftover[]> {
  const liveness = mark.owner ? await livenessOf(mark.owner) : 'elsewhere';
  const ageMs = found.ctx.clock.now().getTime() - Date.parse(mark.at);
  if (liveness === 'alive' || (liveness === 'elsewhere' && ageMs < abandonedAfterMs)) return [];
  return [
    {
      kind: 'scratch-database',
      what: `role ${name}`,
      action: 'drop',
      reason: 'its run has ended',
      run: () =>
        withMaintenanceSession(found.connection, (session) => dropScratchRole(session, name), {
          signal: found.ctx.signal,
        }),
    },
  ];
}

function reopen(found: Found, names: readonly string[]): Leftover[] {
  return names.flatMap((name): Leftover[] => {
    const database = found.databases.get(name);
    if (!database || database.allowsConnections) return [];
    return [
      {
        kind: 'no-connections',
        what: name,
        action: 'allow connections',
        reason: 'an interrupted run closed it to new sessions',
        run: () => execute(found, [`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS true`]),
      },
    ];
  });
}

function commentSetAside(found: Found, name: string, target: string): Leftover {
  // The time comes from its name; a comment with another time would be doubtful.
  const at = (timeInDatabaseName(name) ?? found.ctx.clock.now()).toISOString();
  const mark = {kind: 'set-aside', database: target, at, owner: null, comment: null} as const;
  return {
    kind: 'swap',
    what: name,
    action: 'mark as set aside',
    reason: `it is the previous database "${target}"`,
    run: () => execute(found, [ownerCommentStatement(name, mark)]),
  };
}

/** A database that was created closed and never opened is empty. */
async function isEmpty(found: Found, database: ListedDatabase): Promise<boolean> {
  if (!database.allowsConnections) return true;
  const connection = withDatabase(found.connection, database.name);
  return withSession(connection, async (session) => (await inspectTables(session)).length === 0, {
    signal: found.ctx.signal,
  });
}

async function execute(found: Found, statements: readonly string[]): Promise<void> {
  await withMaintenanceSession(
    found.connection,
    async (session: Session) => {
      for (const statement of statements) await session.query(statement);
    },
    {signal: found.ctx.signal},
  );
}
