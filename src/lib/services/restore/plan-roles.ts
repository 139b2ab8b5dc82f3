/** Plans and creates missing roles for a restore into another server, and drops them again if the restore fails. */
import {z} from 'zod';
import type {DumpNeeds} from '../../dump/dump-needs.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {AppError, withState} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {inspectSystemIdentifier} from '../../postgres/inspect/inspect-database.js';
import {
  membershipSchema,
  type RoleDetails,
  roleDetailsSchema,
} from '../../postgres/inspect/inspect-inventory.js';
import type {RoleRights} from '../../postgres/inspect/inspect-target.js';
import {describeRole, dropRoles, makeRoles, type RolesToMake} from '../../postgres/databases/make-roles.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import type {RunContext} from '../../run/run-context.js';
import {supabaseProject} from '../../postgres/connect/supabase-project.js';

const recordedRoles = z.object({
  /** Missing in metadata of 0.1.0. */
  roleDetails: z.array(roleDetailsSchema).default([]),
  roleGrants: z.array(membershipSchema).default([]),
});

/** A service's own role, which another server lacks: it is created without attributes, only as an owner or grantee. */
const bare = (name: string): RoleDetails => ({
  name,
  canLogin: false,
  inherits: true,
  createsRoles: false,
  createsDatabases: false,
  replicates: false,
  bypassesRowSecurity: false,
  connectionLimit: -1,
  validUntil: null,
  settings: [],
});

/**
 * Selects the missing roles whose attributes the backup contains. On the dumped server itself none are created, because they were
 * dropped there on purpose.
 * @param connection any database of the server
 */
export async function planRoles(
  session: Session,
  record: BackupRecord | null | undefined,
  needs: Pick<DumpNeeds, 'owners'>,
  {
    missing,
    connection,
    rights,
  }: {readonly missing: readonly string[]; readonly connection: Connection; readonly rights: RoleRights},
): Promise<RolesToMake | undefined> {
  if (
    !record ||
    missing.length === 0 ||
    !rights.canCreateRoles ||
    (await isSameServer(session, record, connection))
  )
    return undefined;
  const {roleDetails, roleGrants} = recordedRoles.parse(record.inventory);
  const ofPlatform = new Set(record.inventory.platform?.roles);
  const known = new Map(roleDetails.map((role) => [role.name, role]));
  const roles = [...new Set(missing)].flatMap((name) => {
    if (ofPlatform.has(name)) return [bare(name)];
    const role = known.get(name);
    return role ? [role] : [];
  });
  if (roles.length === 0) return undefined;
  const names = new Set(roles.map(({name}) => name));
  const isOwn = (name: string): boolean => names.has(name) && !ofPlatform.has(name);
  return {
    roles,
    memberships: roleGrants.filter(({role, member}) => isOwn(role) || isOwn(member)),
    owners: rights.isSuperuser ? [] : needs.owners.filter((owner) => names.has(owner)),
    me: rights.name,
    serverMajor: rights.serverMajor,
  };
}

async function isSameServer(
  session: Session,
  {source}: BackupRecord,
  connection: Connection,
): Promise<boolean> {
  const systemIdentifier = await inspectSystemIdentifier(session);
  if (systemIdentifier !== null && source.systemIdentifier !== null)
    return systemIdentifier === source.systemIdentifier;
  const {host, port} = connection;
  return host === source.host && port === source.port && supabaseProject(connection) === source.project;
}

/** A line for the preview, the confirmation and the result. */
export function describeRoles({roles, memberships}: RolesToMake): string {
  return `${countOf(roles.length, 'role')} that the server lacks, without passwords: ${roles.map((role) => describeRole(role, memberships)).join(', ')}`;
}

/** Creates the roles, runs the restore, and drops the roles if it fails. @returns also notes about the roles */
export async function withMadeRoles<T>(
  context: RunContext,
  {wanted, connection}: {readonly wanted: RolesToMake | undefined; readonly connection: Connection},
  work: () => Promise<T>,
): Promise<{readonly result: T; readonly notes: readonly string[]}> {
  if (!wanted) return {result: await work(), notes: []};
  const {signal} = context;
  const left = await context.progress.step('Create the roles', () =>
    withSession(connection, (session) => makeRoles(session, wanted), {signal}),
  );
  try {
    const result = await work();
    const login = wanted.roles.filter(({canLogin}) => canLogin).map(({name}) => name);
    const hint = login.length > 0 ? `; give them passwords: ${login.map(passwordStatement).join(' ')}` : '';
    return {result, notes: [`created first: ${describeRoles(wanted)}${hint}`, ...left]};
  } catch (error) {
    // Without the signal, which may have been aborted.
    const names = wanted.roles.map(({name}) => name);
    const kept = await withSession(connection, (session) => dropRoles(session, names)).catch(() => names);
    throw kept.length === 0 || !(error instanceof AppError)
      ? error
      : withState(error, `These roles were created and could not be dropped: ${kept.join(', ')}.`);
  }
}

function passwordStatement(role: string): string {
  return `ALTER ROLE ${quoteIdentifier(role)} PASSWORD '...';`;
}
