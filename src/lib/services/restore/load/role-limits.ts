/** Decides role by role which owners and grants of a dump can be restored, so that a missing role affects only its own. */
import {qualifiedName} from '../../../base/qualified-name.js';
import type {DumpDefinition} from '../../../dump/dump-definitions.js';
import {quotedParts} from '../../../dump/outside-names.js';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import {readRightsStatement} from '../../../dump/sql/rights-statement.js';
import {textOf} from '../../../postgres/client-encoding.js';

export interface RoleLimits {
  /** Roles in the dump that do not exist on the server. */
  readonly missing: ReadonlySet<string>;
  /** Existing roles that the restoring role may not act for. */
  readonly foreign: ReadonlySet<string>;
  /** Roles that own objects which need a superuser in the dump, but are not superusers here. */
  readonly weak?: ReadonlySet<string>;
}

/** Manual, ALTER EVENT TRIGGER and ALTER FOREIGN DATA WRAPPER: "the new owner must be a superuser". */
const ownedBySuperusers = /^ALTER (?:EVENT TRIGGER|FOREIGN DATA WRAPPER) /;

export const noLimits: RoleLimits = {missing: new Set(), foreign: new Set()};

/** Whether anything has to be left out. */
export function isLimited({missing, foreign, weak}: RoleLimits): boolean {
  return missing.size + foreign.size + (weak?.size ?? 0) > 0;
}

/** Whether the objects of the role keep their owner. */
export function keepsOwner({missing, foreign}: RoleLimits, role: string): boolean {
  return !missing.has(role) && !foreign.has(role);
}

/** Owners and grants that are not restored. */
export interface RightsChoice {
  readonly noOwner: boolean;
  readonly noAcl: boolean;
  readonly limits: RoleLimits;
}

/**
 * Leaves out the owners, grants and default privileges that cannot be restored, one by one. If the restoring role may not act for a
 * grantor, it grants the same rights itself.
 * @returns a function for `DumpScriptRun.edit`, for the statements of a dump in their order
 */
export function editRights({
  noOwner,
  noAcl,
  limits,
}: RightsChoice): (statement: DumpStatement) => string | null {
  let isActing = false;
  return ({sql, encoding}) => {
    const rights = readRightsStatement(textOf(sql, encoding));
    switch (rights?.kind) {
      case 'owner':
        if (limits.weak?.has(rights.role) === true && ownedBySuperusers.test(textOf(sql, encoding)))
          return null;
        return !noOwner && keepsOwner(limits, rights.role) ? sql : null;
      case 'grant': {
        const isKept =
          !noAcl &&
          (rights.role === null || !limits.missing.has(rights.role)) &&
          (rights.privilegesOf === null || keepsOwner(limits, rights.privilegesOf));
        return isKept ? sql : null;
      }
      case 'grantor':
        if (noAcl) return null;
        // RESET is needed only after a SET.
        if (rights.role === null && !isActing) return null;
        isActing = rights.role !== null && keepsOwner(limits, rights.role);
        if (rights.role !== null && !isActing) return null;
        // SET SESSION AUTHORIZATION needs a superuser; SET ROLE has the same effect on a grant.
        return rights.role === null ? 'RESET ROLE;' : sql.replace(/^SET SESSION AUTHORIZATION/, 'SET ROLE');
      default:
        return sql;
    }
  };
}

/** An object whose code runs with its owner's rights. */
export interface OwnedCode {
  /** "public.f(integer)" */
  readonly name: string;
  readonly owner: string;
}

const invokedView = /^CREATE VIEW [^\n]* WITH \([^\n]*\bsecurity_invoker='?(?:true|on|yes|1)\b[^\n]*\) AS$/m;

/**
 * Finds code that runs with its owner's rights: SECURITY DEFINER functions and procedures (manual, CREATE FUNCTION), and views if row
 * level security applies to their owner (manual, CREATE VIEW, security_invoker).
 */
export function findOwnedCode(definitions: readonly DumpDefinition[]): OwnedCode[] {
  const hasPolicies = definitions.some(({type}) => type === 'POLICY');
  const isOwned = ({type, statements}: DumpDefinition): boolean => {
    const text = statements.join('\n');
    if (type === 'VIEW') return hasPolicies && !invokedView.test(text);
    return (
      (type === 'FUNCTION' || type === 'PROCEDURE') &&
      /\bSECURITY DEFINER\b/.test(text.replaceAll(quotedParts, "''"))
    );
  };
  return definitions
    .filter(isOwned)
    .map(({schema, name, owner}) => ({name: qualifiedName({schema, name}), owner}));
}
