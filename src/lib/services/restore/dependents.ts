/** Finds objects outside a partial backup that depend on objects replaced by its restore. */
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
 * Plans the objects to drop before the restore and to create again afterwards.
 * @param definitions in the backup
 * @throws NOT_SUPPORTED_HERE naming objects that could not be created again without loss
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
    `The restore of this partial backup would drop ${countOf(lost.length, 'object')} outside the backup: ${lost.join(', ')}. Nothing was changed.`,
    {
      hint: 'Restore beside the database (--target-db NAME --create-db), or restore a backup of the whole database.',
      details: lost,
    },
  );
}

/** A line for the preview and the result, if there are any. */
export function describeDependents(dependents: readonly Dependent[]): string[] {
  if (dependents.length === 0) return [];
  const names = dependents.map(({what}) => what).join(', ');
  return [
    `dropped and created again unchanged, because they depend on replaced objects: ${countOf(dependents.length, 'object')} outside the backup: ${names}`,
  ];
}
