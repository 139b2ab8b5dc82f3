/** What outside of a backup of a part of a database depends on what a restore over it replaces. */
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {LeftOutEntries} from '../../dump/left-out-entries.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {
  type Dependent,
  inspectDependents,
  type NamedObject,
} from '../../postgres/inspect/inspect-dependents.js';

const kinds: Readonly<Record<string, NamedObject['kind']>> = {
  TABLE: 'relation', VIEW: 'relation', 'MATERIALIZED VIEW': 'relation', SEQUENCE: 'relation', 'FOREIGN TABLE': 'relation',
  FUNCTION: 'routine', PROCEDURE: 'routine', TYPE: 'type', DOMAIN: 'type',
}; // prettier-ignore

/**
 * What is dropped before the restore and made anew afterwards as it was.
 * @param definitions those of the backup
 * @throws NOT_SUPPORTED_HERE naming what could not be made anew without loss
 */
export async function planDependents(
  target: Connection,
  definitions: readonly DumpDefinition[],
  leftOut: LeftOutEntries,
  signal: AbortSignal,
): Promise<Dependent[]> {
  const replaced = definitions.flatMap((one) => {
    const kind = kinds[one.type];
    return kind !== undefined && leftOut.why(one) === undefined ? [{...one, kind}] : [];
  });
  const dependents = await withSession(target, (session) => inspectDependents(session, replaced), {signal});
  const lost = dependents.flatMap(({what, isRemakable}) => (isRemakable ? [] : [what]));
  if (lost.length === 0) return dependents;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${countOf(lost.length, 'object')} outside of the backup, which is of a part of its database, would be lost with what the restore replaces: ${lost.join(', ')}; nothing was changed.`,
    {
      hint: 'Restore beside the database, --target-db NAME --create-db, or over it a backup of the whole one, which replaces that too.',
      details: lost,
    },
  );
}

/** A line for the preview and the result; none where there are none. */
export function describeDependents(dependents: readonly Dependent[]): string[] {
  if (dependents.length === 0) return [];
  const names = dependents.map(({what}) => what).join(', ');
  return [
    `dropped and made anew as they are, as they depend on what is replaced: ${countOf(dependents.length, 'object')} outside of the backup: ${names}`,
  ];
}
