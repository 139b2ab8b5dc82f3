/** Creates missing roles with their attributes from another server. */
import {AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../client.js';
import {roleSettingStatement, settingName} from './database-properties.js';
import type {Membership, RoleDetails} from '../inspect/inspect-inventory.js';
import {inspectRoleNames} from '../inspect/inspect-target.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

/** A role with what only the file of roles has. */
export interface RoleToMake extends RoleDetails {
  readonly isSuperuser?: boolean;
  /** The stored form. */
  readonly password?: string | null;
}

export interface RolesToMake {
  readonly roles: readonly RoleToMake[];
  /** Memberships of these roles and in them. */
  readonly memberships: readonly Membership[];
  /** Roles that own objects which the session's role must give them. */
  readonly owners: readonly string[];
  readonly me: string;
  readonly serverMajor: number;
}

/**
 * Creates roles, then their memberships and settings. Privileges that the session's role cannot give are left out, which is safe.
 * @returns the left-out privileges with the reason, a line each
 * @throws PERMISSION_DENIED and other errors that prevent the creation of a role; the created roles are dropped again
 */
export async function makeRoles(session: Session, wanted: RolesToMake): Promise<string[]> {
  const made: string[] = [];
  const notes: string[] = [];
  const attempt = async (sql: string, what: string): Promise<void> => {
    try {
      await session.query(sql);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      notes.push(`${what}: ${error.message}`);
    }
  };
  try {
    for (const role of wanted.roles) {
      const refused = await create(session, role, () => made.push(role.name));
      if (refused.length > 0)
        notes.push(
          `the role "${role.name}" is created without ${refused.map(({attribute}) => attribute).join(', ')}: ${refused[0]?.why ?? ''}`,
        );
    }
    for (const {name, password} of wanted.roles)
      if (password != null)
        await attempt(
          `ALTER ROLE ${quoteIdentifier(name)} PASSWORD ${quoteLiteral(password)}`,
          `the password of the role "${name}"`,
        );
    for (const one of wanted.memberships)
      await attempt(membershipStatement(one, wanted), `the membership of "${one.member}" in "${one.role}"`);
    for (const {name, settings} of wanted.roles)
      for (const setting of settings) {
        const what = `the setting ${settingName(setting)} of the role "${name}"`;
        if (setting.includes('=')) await attempt(roleSettingStatement(name, setting), what);
        else notes.push(`${what}: its value may be a secret, so no backup contains it`);
      }
    const {foreign} = await inspectRoleNames(session, wanted.owners);
    for (const name of foreign) await session.query(`GRANT ${quoteIdentifier(name)} TO CURRENT_USER`);
  } catch (error) {
    const left = await dropRoles(session, made);
    throw left.length === 0 || !(error instanceof AppError)
      ? error
      : new AppError(
          'RESTORE_FAILED',
          `${error.message} These roles were created and still exist: ${left.join(', ')}.`,
          {
            cause: error,
          },
        );
  }
  return notes;
}

/** @returns those that could not be dropped */
export async function dropRoles(session: Session, names: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const name of [...names].reverse()) {
    try {
      await session.query(`DROP ROLE ${quoteIdentifier(name)}`);
    } catch (error) {
      if (!(error instanceof AppError)) throw new Error(messageOf(error), {cause: error});
      left.push(name);
    }
  }
  return left;
}

const isRefusal = (error: unknown): error is AppError =>
  error instanceof AppError && !['CONNECTION_LOST', 'INTERRUPTED', 'DISK_FULL'].includes(error.code);

/** Attributes that only a superuser can give, or since PostgreSQL 16, except SUPERUSER, a role that has them. */
const reserved = ['SUPERUSER', 'REPLICATION', 'BYPASSRLS', 'CREATEDB', 'CREATEROLE'];

/**
 * Creates the role with as many of its attributes as the session's role can give.
 * @returns the others, with the reason
 */
async function create(
  session: Session,
  role: RoleToMake,
  onMade: () => void,
): Promise<{readonly attribute: string; readonly why: string}[]> {
  const all = attributesOf(role);
  const allowed = all.filter((one) => !reserved.includes(one));
  try {
    await session.query(statementOf(role, all));
    onMade();
    return [];
  } catch (error) {
    if (!isRefusal(error) || error.code !== 'PERMISSION_DENIED' || allowed.length === all.length) throw error;
  }
  await session.query(statementOf(role, allowed));
  onMade();
  const refused: {attribute: string; why: string}[] = [];
  for (const attribute of all.filter((one) => reserved.includes(one))) {
    try {
      await session.query(`ALTER ROLE ${quoteIdentifier(role.name)} ${attribute}`);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused.push({attribute, why: error.message});
    }
  }
  return refused;
}

function attributesOf(role: RoleToMake): string[] {
  return [
    ...(role.isSuperuser === true ? ['SUPERUSER'] : []),
    role.canLogin ? 'LOGIN' : 'NOLOGIN',
    role.inherits ? 'INHERIT' : 'NOINHERIT',
    ...(role.createsRoles ? ['CREATEROLE'] : []),
    ...(role.createsDatabases ? ['CREATEDB'] : []),
    ...(role.replicates ? ['REPLICATION'] : []),
    ...(role.bypassesRowSecurity ? ['BYPASSRLS'] : []),
  ];
}

function statementOf(
  {name, connectionLimit, validUntil}: RoleDetails,
  attributes: readonly string[],
): string {
  const limit = connectionLimit < 0 ? '' : ` CONNECTION LIMIT ${connectionLimit}`;
  const until = validUntil === null ? '' : ` VALID UNTIL ${quoteLiteral(validUntil)}`;
  return `CREATE ROLE ${quoteIdentifier(name)} ${attributes.join(' ')}${limit}${until}`;
}

function membershipStatement(
  {role, member, isAdmin, inherits, sets}: Membership,
  {me, serverMajor}: RolesToMake,
): string {
  const hasOptions = serverMajor >= 16; // manual, GRANT; there the creator of a role administers it already
  const options = [
    ...(isAdmin && !(hasOptions && member === me) ? ['ADMIN OPTION'] : []),
    ...(hasOptions && inherits !== null ? [`INHERIT ${String(inherits)}`] : []),
    ...(hasOptions && sets !== null ? [`SET ${String(sets)}`] : []),
  ];
  const suffix = options.length === 0 ? '' : ` WITH ${options.join(', ')}`;
  return `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}${suffix}`;
}

/** "reporting (LOGIN NOINHERIT PASSWORD; in staff)" */
export function describeRole(role: RoleToMake, memberships: readonly Membership[]): string {
  const groups = memberships.filter(({member}) => member === role.name).map((one) => one.role);
  const attributes = [...attributesOf(role), ...(role.password == null ? [] : ['PASSWORD'])];
  return `${role.name} (${attributes.join(' ')}${groups.length > 0 ? `; in ${groups.join(', ')}` : ''})`;
}
