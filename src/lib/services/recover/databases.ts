/** What interrupted runs left on the server: working databases, half a change of names, a database closed to sessions. */
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
import type {Leftover} from './leftover.js';

/** A working database of another machine, without a session in it, has lost its run after this time. */
const abandonedAfterMs = 24 * 3_600_000;

interface Found {
  readonly ctx: RunContext;
  readonly connection: Connection;
  readonly databases: ReadonlyMap<string, ListedDatabase>;
  /** Working databases that are ours whatever their marks are worth: in a journal of this installation, or named by the user. */
  readonly known: ReadonlySet<string>;
  /** Whether what is not there will not come any more. */
  readonly isSettled: boolean;
}

/**
 * Finds marked databases whether or not a journal knows of them, and looks up what journals of dead runs name.
 * The server's state decides; a journal only says where to look.
 * @param named databases that the user vouches for
 * @throws what connecting fails with
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
  const {listed, roles, isSettled} = await withMaintenanceSession(
    connection,
    async (session) => {
      const settled = await settle(session, entries);
      return {
        listed: await listDatabases(session),
        roles: await listScratchRoles(session),
        isSettled: settled,
      };
    },
    {signal: ctx.signal},
  );
  const found: Found = {
    ctx,
    connection,
    databases: new Map(listed.map((database) => [database.name, database])),
    known: new Set([...named, ...entries.flatMap((entry) => (isMaking(entry) ? [entry.database] : []))]),
    isSettled,
  };
  const leftovers: Leftover[] = [];
  for (const database of listed) {
    if (database.mark) leftovers.push(...(await leftoverOfMark(found, database, database.mark)));
  }
  for (const entry of entries) leftovers.push(...(await leftoverOfEntry(found, entry)));
  for (const role of roles) {
    // A role goes together with its database, or alone when that is gone or was never created.
    if (!found.databases.has(role.name))
      leftovers.push(...(await leftoverOfRole(found, role.name, role.mark)));
  }
  const seen = new Set<string>();
  return leftovers.filter((one) => {
    const key = `${one.what} ${one.action}`;
    return !seen.has(key) && seen.add(key);
  });
}

const looks = 100;
const betweenLooksMs = 50;

/**
 * The server finishes the statement of a program that was killed before it notices; CREATE DATABASE takes a while. So what
 * a journal names and is not there may still come as long as any session of this program is open.
 * @returns whether none is, or all of it is there
 */
async function settle(session: Session, entries: readonly JournalEntry[]): Promise<boolean> {
  const names = entries.flatMap((entry) => (isMaking(entry) ? [entry.database] : []));
  for (let look = 1; ; look += 1) {
    const [row] = await session.query(
      `SELECT (SELECT count(*) FROM pg_catalog.pg_database WHERE datname = ANY ($1)) AS there,
              (SELECT count(*) FROM pg_catalog.pg_stat_activity
                WHERE application_name = 'destino-db' AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()) AS sessions`,
      [names],
    );
    if (row?.['sessions'] === '0' || Number(row?.['there']) === new Set(names).size) return true;
    if (look === looks) return false;
    await delay(betweenLooksMs);
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

async function leftoverOfMark(
  found: Found,
  database: ListedDatabase,
  mark: OwnerComment,
): Promise<Leftover[]> {
  if (mark.kind === 'set-aside') return [];
  const kind = mark.kind === 'staging' ? 'staging-database' : 'scratch-database';
  const what = {kind, what: database.name} as const;
  const fate = mark.owner ? await livenessOf(mark.owner) : 'elsewhere';
  if (fate === 'alive' && mark.owner)
    return [{...what, action: 'leave', reason: `its run is at work (${describeProcess(mark.owner)})`}];
  // It has taken the place of the database already: the change of names happened, only the mark stayed.
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
    const reason = `it is marked as a working database, but it ${doubt}${factsOf(database, mark, now)}; if it is yours, name it with --drop-db`;
    return [{...what, action: 'leave', reason}];
  }
  const ageMs = now.getTime() - Date.parse(mark.at);
  if (fate === 'elsewhere' && (database.sessions > 0 || ageMs < abandonedAfterMs)) {
    const who = mark.owner ? `its run belongs to ${mark.owner.host}, where it` : 'its run';
    return [
      {
        ...what,
        action: 'leave',
        reason: `${who} may be at work; after a day without sessions it counts as abandoned`,
      },
    ];
  }
  return [dropLeftover(found, what, database, factsOf(database, mark, now))];
}

/** " (owner shop, 3 days old, 1.2 GB)" */
function factsOf({owner, sizeBytes}: ListedDatabase, {at}: OwnerComment, now: Date): string {
  const size = sizeBytes === null ? 'size unknown' : formatBytes(sizeBytes);
  return ` (owner ${owner}, made ${formatAge(new Date(at), now)}, ${size})`;
}

async function leftoverOfEntry(found: Found, entry: JournalEntry): Promise<Leftover[]> {
  switch (entry.kind) {
    case 'scratch-database':
    case 'staging-database': {
      const database = found.databases.get(entry.database);
      const what = {kind: entry.kind, what: entry.database} as const;
      if (!database && !found.isSettled) return [{...what, action: 'leave', reason: mayCome}];
      if (!database || database.mark) return []; // never made, gone, or told by its mark
      if (await isEmpty(found, database)) return [dropLeftover(found, what, database)];
      return [
        {
          ...what,
          action: 'leave',
          reason: 'it bears no mark of this program and holds tables; drop it yourself if it is not needed',
        },
      ];
    }
    case 'no-connections':
      return reopen(found, [entry.database]);
    case 'swap': {
      const aside = found.databases.get(entry.setAside);
      const unmarked: Leftover[] =
        aside && !aside.mark && found.databases.has(entry.target)
          ? [markSetAside(found, entry.setAside, entry.target)]
          : [];
      return [...reopen(found, [entry.target, entry.setAside, entry.staging]), ...unmarked];
    }
    default:
      return [];
  }
}

const mayCome =
  'it is not there, but may be made yet: sessions of this program are open on the server; run recover again when they have ended';

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
    // The sessions of tools that outlived their run end with it.
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
  const fate = mark.owner ? await livenessOf(mark.owner) : 'elsewhere';
  const ageMs = found.ctx.clock.now().getTime() - Date.parse(mark.at);
  if (fate === 'alive' || (fate === 'elsewhere' && ageMs < abandonedAfterMs)) return [];
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
        reason: 'a run that has ended kept new sessions out of it',
        run: () => execute(found, [`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS true`]),
      },
    ];
  });
}

function markSetAside(found: Found, name: string, target: string): Leftover {
  // Its name says when; a mark with another time would not be believed.
  const at = (timeInDatabaseName(name) ?? found.ctx.clock.now()).toISOString();
  const mark = {kind: 'set-aside', database: target, at, owner: null, comment: null} as const;
  return {
    kind: 'swap',
    what: name,
    action: 'mark as set aside',
    reason: `it is what "${target}" was before`,
    run: () => execute(found, [ownerCommentStatement(name, mark)]),
  };
}

/** One that was never opened since it was created closed holds nothing. */
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
