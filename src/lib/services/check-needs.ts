/** Compares what a dump needs of the server (roles, extensions) with what there is, before anything starts. */
import type {TableSelection} from '../archive/select-tables.js';
import {AppError} from '../errors.js';
import {countOf} from '../format.js';
import {withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import type {Tool} from '../postgres/find-tools.js';
import {findMissingExtensions, inspectRoleNames, type RoleRights} from '../postgres/inspect-target.js';
import type {PgRestoreOptions} from '../postgres/pg-restore.js';
import {quoteIdentifier} from '../postgres/quote.js';
import type {RunContext} from '../run-context.js';
import type {RestoreRequest} from './restore-request.js';
import {readDumpNeeds, type RestoreSource} from './restore-source.js';

export interface NeedsCheck {
  readonly source: RestoreSource;
  readonly pgRestore: Tool | null;
  /** Any database of the server. */
  readonly session: Connection;
  readonly rights: RoleRights;
  readonly request: RestoreRequest;
  /** Neither owners nor grants are restored. */
  readonly isWithoutOwners?: boolean;
  /** Where chosen tables are restored: what comes with them. */
  readonly selection?: TableSelection | null;
}

/**
 * Owners and grants are restored when all their roles are there and this role may act for them; otherwise they are left out
 * where the tools can do that, with a warning.
 * @throws NOT_SUPPORTED_HERE when the restore could only fail
 */
export async function checkNeeds(
  context: RunContext,
  check: NeedsCheck,
): Promise<Pick<PgRestoreOptions, 'noOwner' | 'noAcl' | 'disablesTriggers'>> {
  const {request, rights} = check;
  const disablesTriggers = request.dataOnly === true && check.pgRestore !== null && rights.isSuperuser;
  if (request.dataOnly === true) return {noOwner: false, noAcl: false, disablesTriggers};
  const all = await readDumpNeeds(check.source, check.pgRestore, context.signal);
  // Of chosen tables neither rights nor policies are restored.
  const isPart = (request.includeTables?.length ?? 0) > 0;
  const chosen = check.selection?.chosen ?? [];
  const part = isPart
    ? {
        owners: all.owners.filter((owner) => chosen.some((one) => one.owner === owner)),
        grantees: [],
        policyRoles: [],
        extensions: chosen.filter(({type}) => type === 'EXTENSION').map(({name}) => name),
      }
    : all;
  const isWithout = check.isWithoutOwners === true;
  const needs = isWithout ? {...part, owners: [], grantees: []} : part;
  const found = await withSession(
    check.session,
    async (session) => ({
      owners: await inspectRoleNames(session, needs.owners),
      grantees: await inspectRoleNames(session, needs.grantees),
      policyRoles: await inspectRoleNames(session, needs.policyRoles),
      extensions: await findMissingExtensions(session, needs.extensions),
    }),
    {signal: context.signal},
  );
  const fatal = [
    ...found.extensions.map((name) => `the extension "${name}" is not installed on the server`),
    ...found.policyRoles.missing.map(
      (name) => `the role "${name}", which a row security policy names, does not exist`,
    ),
  ];
  // A plain dump has no switch to leave out owners or grants.
  const isPlain = check.source.dump.format === 'sql';
  const missing = [...new Set([...found.owners.missing, ...found.grantees.missing])].sort();
  if (isPlain) fatal.push(...missing.map((name) => `the role "${name}" does not exist`));
  if (isPlain)
    fatal.push(...found.owners.foreign.map((name) => `this role may not give objects to "${name}"`));
  if (fatal.length > 0 && request.skipErrors !== true) {
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `The server lacks what the backup needs; nothing was changed: ${fatal.join('; ')}.`,
      {
        hint: hintFor(found.extensions, [...new Set([...missing, ...found.policyRoles.missing])]),
        details: fatal,
      },
    );
  }
  for (const line of fatal) context.warn(`${line}; what needs it will fail.`);
  if (isWithout) return {noOwner: true, noAcl: true, disablesTriggers};
  if (isPlain) return {noOwner: false, noAcl: false, disablesTriggers};
  const noOwner = found.owners.missing.length + found.owners.foreign.length > 0;
  const noAcl = found.grantees.missing.length > 0;
  if (noOwner) {
    const names = [...found.owners.missing, ...found.owners.foreign].join(', ');
    context.warn(
      `Owners are not restored, everything will belong to "${rights.name}": ${countOf(found.owners.missing.length, 'role')} missing, ${found.owners.foreign.length} that "${rights.name}" may not act for (${names}).`,
    );
  }
  if (noAcl) {
    context.warn(
      `Grants are not restored: these roles do not exist on the server: ${found.grantees.missing.join(', ')}.`,
    );
  }
  return {noOwner, noAcl, disablesTriggers};
}

function hintFor(extensions: readonly string[], roles: readonly string[]): string {
  const create = roles.map((name) => `CREATE ROLE ${quoteIdentifier(name)};`).join(' ');
  return [
    ...(extensions.length > 0
      ? [`Install the packages of the extensions ${extensions.join(', ')} on the server.`]
      : []),
    ...(roles.length > 0 ? [`Make the roles first: ${create}`] : []),
    'Or go on in spite of errors with --skip-errors.',
  ].join(' ');
}
