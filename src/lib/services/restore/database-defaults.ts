/** Properties for a new database: encoding, locale, owner, settings and rights of the backup's source. */
import {dumpedProperties} from '../../dump/dumped-properties.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {
  type DatabaseProperties,
  databasePropertiesSchema,
  describeSetting,
} from '../../postgres/databases/database-properties.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import {inspectRoleNames} from '../../postgres/inspect/inspect-target.js';
import type {RunContext} from '../../run/run-context.js';
import type {CopiedProperties} from './can-swap.js';
import {readDumpDefinitions, type RestoreSource} from './source.js';

/** Without metadata, the new database gets the server's encoding and locale, with a warning. */
export async function propertiesFromBackup(
  context: RunContext,
  maintenance: Connection,
  source: RestoreSource,
  pgRestore: Tool | null,
): Promise<CopiedProperties> {
  const record = source.backup?.record ?? null;
  const {properties} = await backupProperties(source, pgRestore, context.signal);
  if (!record) {
    context.warn(
      "The backup does not contain the encoding and locale of its source, so the new database has the server's defaults.",
    );
    return {database: {locale: null, owner: undefined}, properties};
  }
  return {
    database: {
      locale: record.source.locale,
      owner: await usableOwner(context, maintenance, record.source.owner),
    },
    properties,
  };
}

/**
 * Reads the database's properties from the backup: settings and comment from the dump, rights from the metadata.
 * @returns also a line for each setting without a value
 */
export async function backupProperties(
  source: RestoreSource,
  pgRestore: Tool | null,
  signal: AbortSignal,
): Promise<{properties: DatabaseProperties; unknown: string[]}> {
  const recorded = databasePropertiesSchema.parse(source.backup?.record?.inventory ?? {});
  const dumped = dumpedProperties(await readDumpDefinitions(source, pgRestore, signal));
  if (dumped) return {properties: {...recorded, ...dumped}, unknown: []};
  // Metadata of version 0.1.0 contains the values.
  const [known, unknown] = [true, false].map((isKnown) =>
    recorded.databaseSettings.filter(({setting}) => setting.includes('=') === isKnown),
  );
  return {
    properties: {...recorded, databaseSettings: known ?? []},
    unknown: (unknown ?? []).map((one) => `${describeSetting(one)}: the dump does not contain its value`),
  };
}

async function usableOwner(
  context: RunContext,
  maintenance: Connection,
  owner: string,
): Promise<string | undefined> {
  const {missing, foreign} = await withSession(maintenance, (session) => inspectRoleNames(session, [owner]), {
    signal: context.signal,
  });
  if (missing.length + foreign.length === 0) return owner;
  const why =
    missing.length > 0
      ? `its owner "${owner}" does not exist here`
      : `this role may not act for its owner "${owner}"`;
  context.warn(`The database will belong to the connecting role, because ${why}.`);
  return undefined;
}
