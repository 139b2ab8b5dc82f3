/** Implements `verify --checks-live`: runs the data checks in the live database and changes nothing. */
import {AppError} from '../../base/errors.js';
import {withSession} from '../../postgres/client.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {inspectSystemIdentifier} from '../../postgres/inspect/inspect-database.js';
import {codeOfChecks, type DataCheck, describeChecks, withChecks} from '../../run/data-checks.js';
import type {Outcome} from '../../run/check-outcome.js';
import type {RunContext} from '../../run/run-context.js';
import {checksFor, runChecks} from './run-checks.js';

export interface LiveChecks {
  readonly database: string;
  readonly host: string;
  readonly port: number;
  readonly outcome: Outcome;
  /** True only for "passed". */
  readonly ok: boolean;
  /** CHECK_FAILED or CHECK_NOT_RUN; null if every check passed. */
  readonly code: ReturnType<typeof codeOfChecks>;
  readonly checks: readonly DataCheck[];
}

/** @throws CONFIG_INVALID without a check for the database, and the codes of a connection */
export async function checkLive(context: RunContext): Promise<LiveChecks> {
  const {settings, signal, clock} = context;
  const connection = resolveConnection(settings);
  const {database, host, port} = connection;
  if (checksFor(settings, database).length === 0) {
    throw new AppError('CONFIG_INVALID', `The config file has no check for the database "${database}".`, {
      hint: 'Add a query to verify.checks of the config file; docs/data-checks.md has an example of each kind.',
    });
  }
  const systemIdentifier = await withSession(connection, inspectSystemIdentifier, {signal});
  context.record({database: {name: database, systemIdentifier, host, port}});
  const checks = await runChecks(context, {connection, database, backupTime: clock.now()});
  const outcome = withChecks('passed', checks);
  context.record({alarms: describeChecks(checks)});
  return {database, host, port, outcome, ok: outcome === 'passed', code: codeOfChecks(checks), checks};
}
