/** Whether the psql at hand can be kept from running commands that a dump hides. */
import {AppError} from '../errors.js';
import type {Tool} from '../postgres/find-tools.js';
import {canRestrict} from '../postgres/psql.js';
import type {RunContext} from '../run-context.js';
import type {RestoreRequest} from './restore-request.js';

/**
 * A psql that cannot be restricted runs what it takes for commands. The check of the dump reads it as psql does, but as a
 * whole and without errors; nothing stands for the rest.
 * @throws TOOL_TOO_OLD
 */
export function checkPsql(context: Pick<RunContext, 'warn'>, psql: Tool, request: RestoreRequest): void {
  if (canRestrict(psql)) return;
  const about = `psql ${psql.version} may run programs that a plain dump names (CVE-2025-8714)`;
  const hint = 'Install the newest minor version of the client tools, or name its folder with --pg-bin.';
  const isPartial =
    request.schemaOnly === true || request.dataOnly === true || (request.includeTables?.length ?? 0) > 0;
  if (request.skipErrors === true || isPartial) {
    throw new AppError(
      'TOOL_TOO_OLD',
      `${about}; a part of the dump, or one with errors, is not restored with it.`,
      {
        hint,
      },
    );
  }
  context.warn(`${about}; the dump was checked and holds none. ${hint}`);
}
