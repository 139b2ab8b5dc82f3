/** Checks before the restore that the server has the roles and extensions of the dump. */
import {collectDumpNeeds, type DumpNeeds} from '../../dump/dump-needs.js';
import type {LeftOutEntries} from '../../dump/left-out-entries.js';
import type {TableSelection} from '../../dump/select-tables.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {unknownName} from '../../base/unknown-name.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import {findMissingTablespaces} from '../../postgres/inspect/inspect-globals.js';
import {
  findMissingExtensions,
  findWeakRoles,
  inspectRoleNames,
  type RoleRights,
} from '../../postgres/inspect/inspect-target.js';
import type {RolesToMake} from '../../postgres/databases/make-roles.js';
import type {PgRestoreOptions} from '../../postgres/tools/pg-restore.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import type {RunContext} from '../../run/run-context.js';
import {planRoles} from './plan-roles.js';
import type {RestoreRequest} from './options.js';
import {readDumpDefinitions, readDumpNeeds, type RestoreSource} from './source.js';
import {
  findOwnedCode,
  isLimited,
  keepsOwner,
  noLimits,
  type OwnedCode,
  type RoleLimits,
} from './load/role-limits.js';

export interface NeedsCheck {
  readonly source: RestoreSource;
  readonly pgRestore: Tool | null;
  /** Any database of the server. */
  readonly session: Connection;
  readonly rights: RoleRights;
  readonly request: RestoreRequest;
  /** Whether neither owners nor grants are restored. */
  readonly isWithoutOwners?: boolean;
  /** Entries that are not restored, whose requirements do not count. */
  readonly leftOut: LeftOutEntries;
  /** Objects restored with chosen tables. */
  readonly selection?: TableSelection | null;
  /** Whether missing roles may be created. */
  readonly makesRoles?: boolean;
}

export interface NeedsFound {
  readonly limits: RoleLimits;
  /** Whether this role is not a superuser and gives objects to other roles. */
  readonly hasOtherOwners: boolean;
  readonly options: Pick<PgRestoreOptions, 'noOwner' | 'noAcl'>;
  /** Roles to create before the restore. */
  readonly roles?: RolesToMake;
}

/**
 * Owners and grants of missing roles, and of roles that this role may not act for, are left out one by one, with a warning.
 * @throws NOT_SUPPORTED_HERE if the restore could only fail, OWNER_NOT_KEPT if code would run with the rights of another role
 */
export async function checkNeeds(context: RunContext, check: NeedsCheck): Promise<NeedsFound> {
  const {request, rights} = check;
  const isWithout = check.isWithoutOwners === true;
  const options = {noOwner: isWithout, noAcl: isWithout};
  if (request.dataOnly === true) return {limits: noLimits, hasOtherOwners: false, options};
  const all =
    check.leftOut.counts.size > 0
      ? await needsOfKept(check, context.signal)
      : await readDumpNeeds(check.source, check.pgRestore, context.signal);
  // A restore of chosen tables includes neither rights nor policies.
  const isPart = (request.includeTables?.length ?? 0) > 0;
  const chosen = check.selection?.chosen ?? [];
  const part = isPart
    ? {
        owners: all.owners.filter((owner) => chosen.some((one) => one.owner === owner)),
        superusers: [],
        grantees: [],
        grantors: [],
        policyRoles: [],
        extensions: chosen.filter(({type}) => type === 'EXTENSION').map(({name}) => name),
      }
    : all;
  const needs = isWithout ? {...part, owners: [], superusers: [], grantees: [], grantors: []} : part;
  const {roles, tablespaces, ...found} = await withSession(
    check.session,
    (session) => askServer(session, check, needs),
    {
      signal: context.signal,
    },
  );
  if (tablespaces.length > 0)
    context.warn(
      `The server lacks these tablespaces of the backup's server, which a restore does not create: ${tablespaces.join(', ')}.`,
    );
  const fatal = [
    ...found.extensions.map((name) => `the extension "${name}" is not installed on the server`),
    ...found.policyRoles.missing.map(
      (name) => `the role "${name}" of a row security policy or a user mapping does not exist`,
    ),
  ];
  if (fatal.length > 0 && request.skipErrors !== true) {
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `The server does not meet the requirements of the backup: ${fatal.join('; ')}. Nothing was changed.`,
      {
        hint: hintFor(found.extensions, found.policyRoles.missing),
        details: fatal,
      },
    );
  }
  for (const line of fatal) context.warn(`${line}; statements that need it will fail.`);
  const limits = {
    missing: new Set([...found.owners.missing, ...found.grantees.missing, ...found.grantors.missing]),
    foreign: new Set([...found.owners.foreign, ...found.grantors.foreign]),
    weak: new Set(found.weak),
  };
  await requireKeptCode(context, check, limits);
  const unkept = [...found.owners.missing, ...found.owners.foreign];
  if (unkept.length > 0) {
    context.warn(
      `Objects of these roles will belong to "${rights.name}": ${unkept.join(', ')} (${countOf(found.owners.missing.length, 'role')} missing, ${found.owners.foreign.length} that "${rights.name}" may not act for). All other owners are restored.`,
    );
  }
  if (found.grantees.missing.length > 0) {
    context.warn(
      `Grants to these roles are not restored, because the server lacks the roles: ${found.grantees.missing.join(', ')}. All other grants are restored.`,
    );
  }
  if (found.grantors.foreign.length > 0) {
    context.warn(
      `"${rights.name}" may not act for ${found.grantors.foreign.join(', ')}, so their default privileges are not restored, and the owners become the grantors of their grants.`,
    );
  }
  const hasOtherOwners =
    !rights.isSuperuser && needs.owners.some((owner) => owner !== rights.name && keepsOwner(limits, owner));
  return defined({limits, hasOtherOwners, options, roles});
}

type NeededHere = Pick<
  DumpNeeds,
  'owners' | 'superusers' | 'grantees' | 'grantors' | 'policyRoles' | 'extensions'
>;

/** Asks the server for missing roles and extensions, except roles that will be created. */
async function askServer(session: Session, check: NeedsCheck, needs: NeededHere) {
  const {owners, grantees, grantors, policyRoles} = needs;
  const all = {owners, grantees, grantors, policyRoles};
  const missing = (await inspectRoleNames(session, Object.values(all).flat())).missing;
  const roles =
    check.makesRoles === true
      ? await planRoles(session, check.source.backup?.record, needs, {
          missing,
          connection: check.session,
          rights: check.rights,
          globals: check.request.globals,
        })
      : undefined;
  const made = new Set(roles?.roles.map(({name}) => name));
  const ask = (names: readonly string[]) =>
    inspectRoleNames(
      session,
      names.filter((name) => !made.has(name)),
    );
  const {superusers} = needs;
  return {
    roles,
    tablespaces: await findMissingTablespaces(session, check.request.globals?.tablespaces ?? []),
    weak: superusers.filter((name) => made.has(name)).concat(await findWeakRoles(session, superusers)),
    owners: await ask(owners),
    grantees: await ask(grantees),
    grantors: await ask(grantors),
    policyRoles: await ask(policyRoles),
    extensions: await findMissingExtensions(
      session,
      needs.extensions.filter(
        (name) => check.leftOut.why({type: 'EXTENSION', schema: '-', name}) === undefined,
      ),
    ),
  };
}

async function needsOfKept(
  {source, pgRestore, leftOut}: NeedsCheck,
  signal: AbortSignal,
): Promise<DumpNeeds> {
  const {read, needs} = collectDumpNeeds();
  for (const definition of await readDumpDefinitions(source, pgRestore, signal)) {
    if (leftOut.why(definition) !== undefined || definition.type.startsWith('DATABASE')) continue;
    for (const statement of [...definition.statements, definition.ownerStatement ?? ''])
      for (const line of statement.split('\n')) read(line);
  }
  return needs();
}

/** "public.f(integer)" -> "public.f" */
function bareName(name: string): string {
  return name.replace(/\(.*/s, '');
}

function refuseUnknownCode(allowed: ReadonlySet<string>, code: readonly OwnedCode[]): void {
  const names = [...new Set(code.map(({name}) => bareName(name)))];
  const known = new Set([...names, ...code.map(({name}) => name)]);
  const unknown = [...allowed].find((name) => !known.has(name));
  if (unknown === undefined) return;
  throw unknownName(
    'USAGE',
    `--allow-owner-change: the backup has no SECURITY DEFINER function and no view called "${unknown}" that needs it. Nothing was changed.`,
    unknown,
    names,
  );
}

/** @throws OWNER_NOT_KEPT, USAGE for a name in --allow-owner-change that is not in the backup */
async function requireKeptCode(
  context: RunContext,
  {source, pgRestore, rights, request, selection, leftOut}: NeedsCheck,
  limits: RoleLimits,
): Promise<void> {
  const allowed = new Set(request.allowOwnerChange ?? []);
  if (allowed.has('all') || (!isLimited(limits) && allowed.size === 0)) return;
  const definitions = selection?.chosen ?? (await readDumpDefinitions(source, pgRestore, context.signal));
  refuseUnknownCode(allowed, findOwnedCode(definitions));
  const kept = definitions.filter((definition) => leftOut.why(definition) === undefined);
  const changed = findOwnedCode(kept).filter(
    ({name, owner}) => !keepsOwner(limits, owner) && !allowed.has(name) && !allowed.has(bareName(name)),
  );
  if (changed.length === 0) return;
  const missing = [...new Set(changed.map(({owner}) => owner))].filter((owner) => limits.missing.has(owner));
  throw new AppError(
    'OWNER_NOT_KEPT',
    `${countOf(changed.length, 'object')} would run with the rights of "${rights.name}", because the owner cannot be kept. Nothing was changed.`,
    {
      hint: [
        ...(missing.length > 0
          ? [hintFor([], missing).replace(/ Or continue .*/, '')]
          : ['Restore as a member of the owner.']),
        'Or accept it: --allow-owner-change=NAME (repeatable), or =all.',
      ].join(' '),
      details: changed.map(({name, owner}) => `${name}, owner ${owner}`),
    },
  );
}

function hintFor(extensions: readonly string[], roles: readonly string[]): string {
  const create = roles.map((name) => `CREATE ROLE ${quoteIdentifier(name)};`).join(' ');
  return [
    ...(extensions.length > 0
      ? [`Install the packages of the extensions ${extensions.join(', ')} on the server.`]
      : []),
    ...(roles.length > 0 ? [`Create the roles first: ${create}`] : []),
    'Or continue despite errors with --skip-errors.',
  ].join(' ');
}
