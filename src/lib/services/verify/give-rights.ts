/** Sets owners and grants of restored objects after the load, so that no code of the backup runs as a superuser. */
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {DumpNeeds} from '../../dump/dump-needs.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {inspectRoleNames} from '../../postgres/inspect/inspect-target.js';

/** Whether owners or grants were left out because roles are missing on the server. */
export interface RightsLeftOut {
  readonly noOwner: boolean;
  readonly noAcl: boolean;
}

const inDatabase = {
  owned:
    'AGGREGATE|COLLATION|CONVERSION|DOMAIN|FOREIGN DATA WRAPPER|FOREIGN TABLE|FUNCTION|LANGUAGE|MATERIALIZED VIEW|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|PROCEDURAL LANGUAGE|PROCEDURE|PUBLICATION|SCHEMA|SEQUENCE|SERVER|STATISTICS|TABLE|TEXT SEARCH CONFIGURATION|TEXT SEARCH DICTIONARY|TYPE|VIEW',
  granted: 'FOREIGN DATA WRAPPER|FOREIGN SERVER|FUNCTION|LANGUAGE|PROCEDURE|SCHEMA|SEQUENCE|TABLE|TYPE',
};
const privilege = String.raw`[A-Z ]+(?:\((?:[^"()]|"(?:[^"]|"")*")*\))?`;
/**
 * Statements about objects inside the database. A dump also contains statements about tablespaces, parameters and the database
 * itself, by its name, which on this server can be the production database.
 */
const ownerForm = new RegExp(`^ALTER (?:${inDatabase.owned}) `);
const grantForm = new RegExp(
  `^(?:(?:GRANT|REVOKE) ${privilege}(?:,${privilege})* ON (?:${inDatabase.granted}) |ALTER DEFAULT PRIVILEGES |SET SESSION AUTHORIZATION |RESET SESSION AUTHORIZATION;)`,
);

/**
 * Runs the dump's ALTER ... OWNER TO, then its GRANT and REVOKE statements.
 * @param database as a superuser
 * @throws QUERY_FAILED, ... if the server refuses one
 */
export async function giveRights(
  database: Connection,
  definitions: readonly DumpDefinition[],
  {owners, grantees}: DumpNeeds,
  signal: AbortSignal,
): Promise<RightsLeftOut> {
  return withSession(
    database,
    async (session) => {
      const noOwner = (await inspectRoleNames(session, owners)).missing.length > 0;
      const noAcl = (await inspectRoleNames(session, grantees)).missing.length > 0;
      const ownerStatements = definitions.flatMap(({ownerStatement}) => ownerStatement ?? []);
      const grants = definitions
        .filter(({type}) => type === 'ACL' || type === 'DEFAULT ACL')
        .flatMap(({statements}) => statements.filter((statement) => grantForm.test(statement)));
      const chosen = [
        ...(noOwner ? [] : ownerStatements.filter((statement) => ownerForm.test(statement))),
        ...(noAcl ? [] : grants),
      ];
      // In the extended protocol the server accepts a single statement, even if the line contains more.
      for (const text of chosen) {
        const query = {text, queryMode: 'extended'};
        await session.client.query(query);
      }
      return {noOwner, noAcl};
    },
    {signal},
  );
}
