/** A RunContext for calling services in tests, with everything it was told kept for assertions. */
import {systemClock, type Clock} from '../../src/lib/clock.js';
import type {Connection} from '../../src/lib/postgres/connection.js';
import {type Progress, silentProgress} from '../../src/lib/progress/progress.js';
import type {ConfirmRequest, RunContext} from '../../src/lib/run-context.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {environmentOf} from '../../src/lib/settings/environment.js';
import type {RunFacts} from '../../src/lib/watch/run-record.js';
import {urlOf} from './temp-database.js';

export interface TestContext extends RunContext {
  readonly warnings: string[];
  readonly confirmations: ConfirmRequest[];
  readonly recorded: RunFacts[];
}

export interface TestContextOptions {
  connection?: Connection;
  /** Working directory; the backups folder is `backups` below it. */
  folder: string;
  config?: Config;
  environment?: Readonly<Record<string, string>>;
  clock?: Clock;
  signal?: AbortSignal;
  progress?: Progress;
  pgBin?: string;
  /** Throws to refuse; by default every request is confirmed. */
  confirm?: (request: ConfirmRequest) => Promise<void>;
}

export function testContext(options: TestContextOptions): TestContext {
  const warnings: string[] = [];
  const confirmations: ConfirmRequest[] = [];
  const recorded: RunFacts[] = [];
  return {
    settings: {
      cwd: options.folder,
      config: options.config ?? {},
      environment: environmentOf([
        {
          origin: 'environment',
          values: {PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.environment},
        },
      ]),
      databaseUrl: options.connection === undefined ? undefined : urlOf(options.connection),
      urlPreference: ['DIRECT_URL', 'DATABASE_URL'],
      backupsDir: `${options.folder}/backups`,
      pgBin: options.pgBin,
      metricsFile: undefined,
      cores: 2,
    },
    progress: options.progress ?? silentProgress,
    signal: options.signal ?? new AbortController().signal,
    clock: options.clock ?? systemClock,
    toolVersion: '0.0.0-test',
    warnings,
    confirmations,
    recorded,
    record: (facts) => recorded.push(facts),
    warn: (message) => warnings.push(message),
    confirm: async (request) => {
      confirmations.push(request);
      await options.confirm?.(request);
    },
  };
}
