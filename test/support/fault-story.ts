/** Runs the compiled program into a fault and checks every promise afterwards, and again after `recover`. */
import type {ChildProcess} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {expect} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {readHistory} from '../../src/lib/run/read-history.js';
import {checkPromises, noTraces, type Traces, type Watched} from './check-promises.js';
import type {FaultServer} from './fault-server.js';
import {type CliOptions, type CliResult, runCli} from './run-cli.js';
import {testContext} from './test-context.js';

export interface Situation {
  /** Working directory; backups are in `backups` in it. */
  readonly home: string;
  readonly url: string;
  readonly args: readonly string[];
  readonly watched: Watched;
  /** Whether the command's work is done; a run that reports success must have done it. */
  readonly isDone: () => Promise<boolean>;
}

export interface Story {
  readonly command: string;
  /**
   * @param round counts the repetitions from 0, so that each can differ
   * @param server the connection that the program uses
   */
  readonly prepare: (round: number, server: Connection) => Promise<Situation>;
}

/** The connection to the server for a scenario; faults from outside need more. */
export type FaultHost = Pick<FaultServer, 'server'>;

export interface Fault<Host extends FaultHost = FaultServer> {
  /** The moment of the fault: a fault point, or in words. */
  readonly at: string;
  /** The kind of fault. */
  readonly name: string;
  /** How the run may end: by the signal, with an error or with a real success, or only with success. */
  readonly ending:
    | 'killed'
    | 'killed, or error of a killed tool'
    | 'SIGINT'
    | 'SIGTERM'
    | 'error or success'
    | 'error'
    | 'success';
  readonly begin: (host: Host) => Promise<Begun> | Begun;
  /** Whether it may happen before the run has recorded its start, so that a kill leaves no trace in the audit log. */
  readonly mayComeFirst?: boolean;
}

/** A fault that is ready to happen. */
export interface Begun {
  /** The connection of the program, if not directly to the server. */
  readonly server?: Connection;
  readonly options?: Omit<CliOptions, 'cwd' | 'onStart'>;
  /** Prepares the working directory. */
  readonly arrange?: (situation: Situation) => Promise<void>;
  /** Causes the fault in the running program; returns when it has happened. */
  readonly strike?: (child: ChildProcess, situation: Situation) => Promise<void>;
  /** Whether it has happened; by default whether `strike` succeeded. */
  readonly hasHappened?: () => boolean;
  /** Called when the run has ended, before the checks. */
  readonly mend?: () => Promise<void>;
  /** Where the run could not clean up; nowhere by default, everywhere after a kill. */
  readonly leaves?: Traces;
  readonly end?: () => Promise<void>;
}

const patienceMs = 120_000;

/** The outcome of a fault. A run that ended before its moment shows nothing. */
export type Outcome = 'killed' | 'ended' | 'not struck';

export async function suffer<Host extends FaultHost>(
  host: Host,
  story: Story,
  fault: Fault<Host>,
  round: number,
): Promise<Outcome> {
  const begun = await fault.begin(host);
  const situation = await story.prepare(round, begun.server ?? host.server);
  const {home, url, watched, isDone} = situation;
  try {
    await begun.arrange?.(situation);
    const {run, hasStruck} = await strike(begun, situation);
    await begun.mend?.();
    const said = `${run.stdout}\n${run.stderr}`;
    const isKilled = run.signal === 'SIGKILL' && fault.ending.startsWith('killed');
    if (fault.ending.startsWith('killed') && !isKilled && run.status === 0) {
      expect(await isDone(), said).toBe(true);
      return 'not struck';
    }
    checkEnding(fault, run);
    const afterKill = {inFolder: true, onServer: true};
    const traces = isKilled || story.command === 'recover' ? afterKill : (begun.leaves ?? noTraces);
    expect(await checkPromises(watched, traces), `after the fault: ${said}`).toEqual([]);
    if (run.status === 0) expect(await isDone(), `success was reported: ${said}`).toBe(true);
    // The program itself once per moment; the same service in this process for the many repetitions of the long form.
    if (round === 0) {
      const recover = await runCli(
        ['recover', '--yes', '--json'],
        defined({
          ...begun.options,
          account: undefined,
          under: [],
          cwd: home,
          env: {DIRECT_URL: url},
        }),
      );
      expect(recover.status, recover.stdout + recover.stderr).toBe(0);
      if (isKilled && watched.kept.length > 0 && fault.mayComeFirst !== true) await expectRecorded(situation);
    } else {
      const {failed} = await recoverLeftovers(testContext(home, {env: {DIRECT_URL: url}}), {dryRun: false});
      expect(failed).toEqual([]);
    }
    expect(await checkPromises(watched, noTraces), `after recover; the run said: ${said}`).toEqual([]);
    if (isKilled) return 'killed';
    return hasStruck ? 'ended' : 'not struck';
  } finally {
    await begun.end?.();
    await rm(home, {recursive: true, force: true});
  }
}

/** A killed run is also in the audit log, once the next run has begun. */
async function expectRecorded({watched, args}: Situation): Promise<void> {
  const {runs} = await readHistory(watched.backupsDir, ({outcome}) => outcome === 'interrupted');
  expect(runs.map(({command}) => command)).toContain(args[0]);
}

async function strike(
  {options, strike: happen, hasHappened}: Begun,
  situation: Situation,
): Promise<{run: CliResult; hasStruck: boolean}> {
  const {home, url, args} = situation;
  let started: ChildProcess | undefined;
  const running = runCli(args, {
    ...options,
    cwd: home,
    env: {DIRECT_URL: url, ...options?.env},
    onStart: (child) => (started = child),
  });
  const patience = setTimeout(() => started?.kill('SIGKILL'), patienceMs); // a hanging run fails
  const striking = happen && started ? happen(started, situation) : Promise.resolve();
  const [run, hasStruck] = await Promise.all([
    running,
    striking.then(
      () => true,
      () => false, // the moment of the fault was not reached
    ),
  ]);
  clearTimeout(patience);
  return {run, hasStruck: hasHappened?.() ?? hasStruck};
}

function checkEnding({ending}: Pick<Fault, 'ending'>, run: CliResult): void {
  const said = `${run.stdout}\n${run.stderr}`;
  if (ending === 'killed, or error of a killed tool' && run.signal === 'SIGKILL') return;
  if (ending === 'killed') {
    expect(run.signal, said).toBe('SIGKILL');
    return;
  }
  expect(run.signal, `it did not end by itself: ${said}`).toBeNull();
  if (ending === 'success') expect(run.status, said).toBe(0);
  else if (ending === 'SIGINT' || ending === 'SIGTERM') {
    expect(said).toContain('Stopping: ');
    expect([0, ending === 'SIGINT' ? 130 : 143], said).toContain(run.status);
  } else {
    expect(ending.includes('success') ? [0, 1, 2, 3, 4, 5] : [1, 2, 3, 4, 5], said).toContain(run.status);
    expect(said).not.toContain('UNEXPECTED');
    // A negative result (of recover or verify) is printed on stdout, an error on stderr or as JSON.
    if (run.status !== 0 && run.stdout === '') expect(run.stderr).toMatch(/^Error [A-Z_]+: /m);
  }
}
