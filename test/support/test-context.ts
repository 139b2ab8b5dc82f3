/** A run context for tests of services: silent, confirmed, with a clock that can be set. */
import {passBy} from '../../src/lib/run/fault-points.js';
import {type RunContext} from '../../src/lib/run/run-context.js';
import {silentProgress} from '../../src/lib/progress/progress.js';
import {environmentOf} from '../../src/lib/settings/environment.js';
import type {Settings} from '../../src/lib/settings/settings.js';
import type {RunFacts} from '../../src/lib/run/run-record.js';

export interface TestContext extends RunContext {
  readonly warnings: string[];
  /** Facts for the audit log, in order. */
  readonly facts: RunFacts[];
  /** Titles of the started steps, in order. */
  readonly steps: string[];
}

/** @param folder the working directory; backups are written to `backups` in it */
export function testContext(
  folder: string,
  changes: {
    settings?: Partial<Settings>;
    now?: string;
    env?: Record<string, string>;
    confirm?: RunContext['confirm'];
    signal?: AbortSignal;
  } = {},
): TestContext {
  const warnings: string[] = [];
  const facts: RunFacts[] = [];
  const steps: string[] = [];
  const {now} = changes;
  return {
    settings: {
      cwd: folder,
      config: {},
      environment: environmentOf([
        {
          origin: 'environment',
          values: {PATH: process.env['PATH'], XDG_CACHE_HOME: `${folder}/cache`, ...changes.env},
        },
      ]),
      databaseUrl: undefined,
      urlPreference: ['DIRECT_URL', 'DATABASE_URL'],
      backupsDir: `${folder}/backups`,
      pgBin: undefined,
      metricsFile: undefined,
      cores: 2,
      ...changes.settings,
    },
    progress: {
      ...silentProgress,
      step: (title, work) => {
        steps.push(title);
        return silentProgress.step(title, work);
      },
    },
    signal: changes.signal ?? new AbortController().signal,
    clock: {now: () => (now === undefined ? new Date() : new Date(now))},
    toolVersion: '0.1.0',
    confirm: changes.confirm ?? (() => Promise.resolve()),
    // Without a question, the complete run is confirmed in advance, as by --yes.
    checkName: () => {},
    isConfirmed: () => changes.confirm === undefined,
    warn: (message) => warnings.push(message),
    record: (more) => void facts.push(more),
    checkpoint: passBy,
    warnings,
    facts,
    steps,
  };
}
