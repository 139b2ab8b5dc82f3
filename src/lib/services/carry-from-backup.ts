/** What a new database is made with: encoding, locale, owner, settings and rights of the backup's source. */
import {withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import {databasePropertiesSchema} from '../postgres/database-properties.js';
import {inspectRoleNames} from '../postgres/inspect-target.js';
import type {RunContext} from '../run-context.js';
import type {CarriedOver} from './check-swap.js';
import type {RestoreSource} from './restore-source.js';

/** Without metadata the server's defaults are taken, with a warning. */
export async function carryFromBackup(
  context: RunContext,
  maintenance: Connection,
  source: RestoreSource,
): Promise<CarriedOver> {
  const record = source.backup?.record ?? null;
  if (!record) {
    context.warn(
      "The backup does not tell encoding and locale of its source: the new database has the server's defaults.",
    );
    return {database: {locale: null, owner: undefined}, properties: databasePropertiesSchema.parse({})};
  }
  return {
    database: {
      locale: record.source.locale,
      owner: await usableOwner(context, maintenance, record.source.owner),
    },
    properties: databasePropertiesSchema.parse(record.inventory),
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
  const why = missing.length > 0 ? 'does not exist here' : 'is one that this role may not act for';
  context.warn(`The database will belong to the connecting role: its owner "${owner}" ${why}.`);
  return undefined;
}
