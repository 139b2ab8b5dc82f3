/** Checks the server: connection, version, rights, and the disk space for a backup. */
import {backupFolder} from '../../catalog/backup-name.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {freeBytes} from '../../base/disk-space.js';
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {systemErrorCode} from '../../base/errors.js';
import {countOf, formatBytes} from '../../base/format.js';
import {joinedTables, readOrderGraph} from '../orders/rules/order-graph.js';
import {ordersProfile} from '../orders/rules/profile.js';
import type {Table} from '../../rows/model/read-schema.js';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, describeConnection} from '../../postgres/connect/connection.js';
import {
  type DatabaseIdentity,
  type HiddenTable,
  inspectHiddenTables,
  inspectIdentity,
} from '../../postgres/inspect/inspect-database.js';
import {inspectRole, inspectRoleNames, type RoleRights} from '../../postgres/inspect/inspect-target.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {type ReadOnly, whyReadOnly} from '../../postgres/inspect/writable.js';
import type {RunContext} from '../../run/run-context.js';
import {type Check, failed, failedBy, passed} from './check.js';
import {someOf} from '../../base/some-of.js';
import {rowSecurityHint} from '../../postgres/row-security.js';

const oldestSupported = 13;

/** @returns the checks, and the server's major version if it answered */
export async function checkServer(
  ctx: RunContext,
  connection: Connection,
): Promise<{checks: Check[]; major: number | undefined}> {
  try {
    return await withSession(connection, (session) => inspect(ctx, connection, session), {
      signal: ctx.signal,
    });
  } catch (error) {
    ctx.signal.throwIfAborted();
    return {
      checks: [failedBy('connection', error, 'Check host, port, user and password in the URL.')],
      major: undefined,
    };
  }
}

async function inspect(ctx: RunContext, connection: Connection, session: Session) {
  const identity = await inspectIdentity(session);
  const role = await inspectRole(session);
  const hidden = await inspectHiddenTables(session);
  const {foreign} = await inspectRoleNames(session, [identity.owner]);
  return {
    major: identity.major,
    checks: [
      passed(
        'connection',
        `connected to ${describeConnection(connection)}, ${formatBytes(identity.sizeBytes)}`,
      ),
      checkVersion(identity),
      ...checkWritable(await whyReadOnly(session)),
      ...checkRights(hidden),
      ...(await checkOrdersProfile(ctx, connection, session)),
      checkRole(identity, role, foreign.length === 0),
      checkCreateDatabases(role),
      await checkDiskSpace(backupFolder(ctx.settings), identity.sizeBytes),
    ],
  };
}

/** Only if the config file has a profile: not every database has orders. */
async function checkOrdersProfile(
  ctx: RunContext,
  connection: Connection,
  session: Session,
): Promise<Check[]> {
  const {orders} = ctx.settings.config;
  if (orders?.profile === undefined) return [];
  try {
    const profile = ordersProfile(orders, connection.schema ?? 'public');
    const graph = await readOrderGraph(session, profile);
    const labels = (tables: readonly Table[]): string => tables.map(({label}) => label).join(', ');
    const joined = joinedTables(graph);
    const read = joined.length === 0 ? '' : ` and reads ${labels(joined)}`;
    const tables = labels(graph.roots.map(({table}) => table));
    return [passed('orders-profile', `"${profile.name}" chooses orders in ${tables}${read}`)];
  } catch (error) {
    return [failedBy('orders-profile', error, 'Correct orders.profile in the config file.', false)];
  }
}

function checkVersion({version, major}: DatabaseIdentity): Check {
  if (major >= oldestSupported) return passed('server-version', `PostgreSQL ${version}`);
  return failed(
    'server-version',
    `PostgreSQL ${version} is older than ${oldestSupported}`,
    `Upgrade the server to PostgreSQL ${oldestSupported} or newer.`,
  );
}

function checkWritable(readOnly: ReadOnly | undefined): Check[] {
  const primary = passed('standby', 'the server is a primary');
  if (!readOnly) return [primary];
  if (!readOnly.isStandby)
    return [
      primary,
      failed('writable', `${readOnly.why}: nothing can be restored or cleaned`, readOnly.hint, false),
    ];
  return [
    failed(
      'standby',
      'the server is a standby: it may cancel long reads, and nothing can be changed',
      'Use the URL of the primary, or raise max_standby_streaming_delay on the standby for backups.',
      false,
    ),
  ];
}

function checkRights(hidden: readonly HiddenTable[]): Check[] {
  const names = (why: HiddenTable['why']): string[] =>
    hidden.filter((table) => table.why === why).map(qualifiedName);
  const unreadable = names('rights');
  const secured = names('row security');
  return [
    unreadable.length === 0
      ? passed('table-rights', 'every table can be read')
      : failed(
          'table-rights',
          `${countOf(unreadable.length, 'table')} cannot be read: ${someOf(unreadable, 5).join(', ')}`,
          'Use the owner of the tables, or GRANT pg_read_all_data to the role (PostgreSQL 14 and newer), or exclude them with --exclude-table.',
        ),
    secured.length === 0
      ? passed('row-security', 'row-level security hides no rows from this role')
      : failed(
          'row-security',
          `row-level security hides rows of ${countOf(secured.length, 'table')}: ${someOf(secured, 5).join(', ')}`,
          rowSecurityHint,
        ),
  ];
}

function checkRole({owner, database}: DatabaseIdentity, role: RoleRights, mayActForOwner: boolean): Check {
  if (role.isSuperuser)
    return passed(
      'role',
      `${role.name} is a superuser: a restore runs the code in the backup with all rights`,
    );
  if (role.name === owner) return passed('role', `${role.name} owns the database "${database}"`);
  if (mayActForOwner)
    return passed('role', `${role.name} may act for ${owner}, who owns the database "${database}"`);
  return failed(
    'role',
    `${role.name} does not own the database "${database}" and may not act for its owner, ${owner}`,
    isSystemDatabase(database)
      ? `For restore --clean use the role ${owner}, or one that owns the objects in the database.`
      : `For restore --drop-existing and undo use the role ${owner}.`,
    false,
  );
}

function checkCreateDatabases(role: RoleRights): Check {
  if (role.canCreateDatabases) return passed('create-databases', `${role.name} may create databases`);
  return failed(
    'create-databases',
    `${role.name} may not create databases: no restore by swap and no restore test on this server`,
    `Run as a superuser: ALTER ROLE ${quoteIdentifier(role.name)} CREATEDB; or verify with --scratch=local or --scratch-url.`,
    false,
  );
}

/** A dump is text, often smaller than the tables and indexes; the size of the database is a safe requirement. */
async function checkDiskSpace(folder: string, databaseBytes: number): Promise<Check> {
  let free: number;
  try {
    free = await freeBytes(folder);
  } catch (error) {
    return failed(
      'disk-space',
      `free space is unknown (${systemErrorCode(error) ?? 'no answer'})`,
      `Check the permissions of ${folder}.`,
      false,
    );
  }
  const message = `${formatBytes(free)} free for backups of a database of ${formatBytes(databaseBytes)}`;
  if (free >= databaseBytes) return passed('disk-space', message);
  const isHopeless = free < databaseBytes / 10;
  return failed(
    'disk-space',
    message,
    'Free space, prune (destino-db prune), or choose another disk with --backups-dir.',
    isHopeless,
  );
}
