/** Checks that the restoring role can see the rows that it restores. */
import {qualifiedName} from '../../base/qualified-name.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {LeftOutEntries} from '../../dump/left-out-entries.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {inspectHiddenTables} from '../../postgres/inspect/inspect-database.js';
import type {RoleRights} from '../../postgres/inspect/inspect-target.js';
import type {NamedTable} from '../../postgres/quote.js';
import {rowSecurityHint} from '../../postgres/row-security.js';

interface RowsToSee {
  /** Definitions that are created; for rows alone, the tables of the target count instead. */
  readonly definitions: readonly DumpDefinition[];
  readonly tables: readonly NamedTable[];
  readonly leftOut: LeftOutEntries;
  readonly isRowsAlone: boolean;
  readonly signal: AbortSignal;
}

/** @throws ROW_SECURITY if the role could not compare or load rows, because FORCE ROW LEVEL SECURITY hides them even from their owner */
export async function requireVisibleRows(
  target: Connection,
  {name, bypassesRowSecurity}: RoleRights,
  {definitions, tables, leftOut, isRowsAlone, signal}: RowsToSee,
): Promise<void> {
  if (bypassesRowSecurity) return;
  const forced = new Set(
    definitions.flatMap((one) =>
      one.statements.some((text) => text.endsWith(' FORCE ROW LEVEL SECURITY;')) &&
      leftOut.why(one) === undefined
        ? [qualifiedName(one)]
        : [],
    ),
  );
  const hidden = isRowsAlone
    ? (await withSession(target, inspectHiddenTables, {signal})).filter(
        (one) =>
          one.why === 'row security' &&
          tables.some(({schema, name: table}) => schema === one.schema && table === one.name),
      )
    : definitions.filter((one) => one.type === 'ROW SECURITY' && forced.has(qualifiedName(one)));
  if (hidden.length === 0) return;
  const names = hidden.map(qualifiedName);
  throw new AppError(
    'ROW_SECURITY',
    `Row level security would hide rows of ${countOf(names.length, 'table')} from "${name}", so they could not be ${isRowsAlone ? 'loaded' : 'compared with the backup'}: ${names.join(', ')}. Nothing was changed.`,
    {hint: rowSecurityHint, details: names},
  );
}
