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
import type {Globals} from '../../postgres/inspect/inspect-globals.js';
import {inspectRoleNames, type RoleRights} from '../../postgres/inspect/inspect-target.js';
import {
  describeRole,
  dropRoles,
  makeRoles,
  type RolesToMake,
  type RoleToMake,
} from '../../postgres/databases/make-roles.js';
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
 * Selects the missing roles whose attributes the backup contains: those that the dump needs, and with `globals` all. On the dumped
 * server itself none are created without `globals`, because they were dropped there on purpose.
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
    globals,
  }: {
    readonly missing: readonly string[];
    readonly connection: Connection;
    readonly rights: RoleRights;
    readonly globals: Globals | undefined;
  },
): Promise<RolesToMake | undefined> {
  if (!record) return undefined;
  const ofPlatform = new Set(record.inventory.platform?.roles);
  const stored = (globals?.roles ?? []).map(({name}) => name).filter((name) => !ofPlatform.has(name));
  const lacking = (await inspectRoleNames(session, stored)).missing;
  if (lacking.length > 0 && !rights.canCreateRoles) throw mayNotCreate(rights, lacking);
  if (
    missing.length + lacking.length === 0 ||
    !rights.canCreateRoles ||
    (!globals && (await isSameServer(session, record, connection)))
  )
    return undefined;
  const {roleDetails, roleGrants} = recordedRoles.parse(record.inventory);
  const known = new Map<string, RoleToMake>(
    [...roleDetails, ...(globals?.roles ?? [])].map((role) => [role.name, role]),
  );
  const roles = [...new Set([...missing, ...lacking])].flatMap((name) => {
    if (ofPlatform.has(name)) return [bare(name)];
    const role = known.get(name);
    return role ? [role] : [];
  });
  if (roles.length === 0) return undefined;
  const names = new Set(roles.map(({name}) => name));
  const isOwn = (name: string): boolean => names.has(name) && !ofPlatform.has(name);
  return {
    roles,
    memberships: (globals?.memberships ?? roleGrants).filter(
      ({role, member}) => isOwn(role) || isOwn(member),
    ),
    owners: rights.isSuperuser ? [] : needs.owners.filter((owner) => names.has(owner)),
    me: rights.name,
    serverMajor: rights.serverMajor,
  };
}

function mayNotCreate({name}: RoleRights, lacking: readonly string[]): AppError {
  return new AppError(
    'PERMISSION_DENIED',
    `"${name}" may not create roles, and the server lacks ${countOf(lacking.length, 'role')} of the backup. Nothing was changed.`,
    {hint: 'Restore as a role with CREATEROLE, or leave out --with-roles.', details: [...lacking]},
  );
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
  const without = roles.some(({password}) => password != null) ? '' : ', without passwords';
  return `${countOf(roles.length, 'role')} that the server lacks${without}: ${roles.map((role) => describeRole(role, memberships)).join(', ')}`;
}

/** Lines for the result of a restore with the file of roles: that nothing was missing, and what a restore does not set. */
export function describeGlobals({systemSettings}: Globals, roles: RolesToMake | undefined): string[] {
  const settings = (systemSettings ?? []).map(({name, value}) =>
    value === null ? name : `${name} = ${value}`,
  );
  return [
    ...(roles ? [] : ['every role of the backup exists here, and none was changed']),
    ...(settings.length > 0
      ? [`not restored: settings by ALTER SYSTEM on the backup's server: ${settings.join(', ')}`]
      : []),
  ];
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
    const login = wanted.roles
      .filter(({canLogin, password}) => canLogin && password == null)
      .map(({name}) => name);
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
