/** The base of every command: settings, progress, signals, confirmation, results and errors. */
import {Command, type Interfaces} from '@oclif/core';
import {systemClock} from '../base/clock.js';
import {defined, type Given} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import {foreignNote} from '../base/own-file.js';
import {createCheckpoint} from '../run/fault-points.js';
import {chooseProgress} from '../progress/choose-progress.js';
import {type PausableProgress, pauseLines, silentProgress} from '../progress/progress.js';
import {redact, redactValues} from '../base/redact.js';
import type {RunContext} from '../run/run-context.js';
import {collectAsInLongRuns} from './code-cache.js';
import type {RunRecorder} from './record-run.js';
import type {SeveralResult, SeveralView} from './show/show-several.js';
import {type GlobalFlags, loadSettings, type Settings} from '../settings/settings.js';
import {createTypedPasswords} from '../settings/typed-passwords.js';
import {isPreview} from '../base/recorded-commands.js';
import {isAnswered, refuseOtherName} from './confirm-rules.js';
import {globalFlags, refuseBadPlaces, refuseEmptyFlags} from './flags.js';
import {asAppError, errorDocument, errorLines} from './show/show-error.js';
import {printableProgress} from './show/printable-progress.js';
import {createStyle, printable, type Style} from './show/style.js';
import {createWarnings, flushBetweenSteps} from './warnings.js';

type PerformFlags = GlobalFlags & {
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
  'no-color'?: boolean;
  yes?: boolean;
  'confirm-db'?: string;
  'dry-run'?: boolean;
  guide?: boolean;
  identity?: string;
  'passphrase-file'?: string;
  execute?: boolean;
  forget?: string[];
};

interface PerformOptions<R> {
  /** The exit status that a result stands for, as 4 for backups that are too old; 0 without it. */
  exitCodeOf?: (result: R) => number;
  /** Whether the run is over several databases, so that it has none of its own. */
  isOverSeveral?: boolean;
}

interface PerformEachOptions<R> {
  exitCodeOf?: (result: R) => number;
  /** Whether servers of the config file are asked for their databases. */
  isLookedUp: boolean;
}

export type DatabaseFlags = GlobalFlags & {
  database?: string[] | undefined;
  'all-databases'?: boolean | undefined;
};

/** Whether flags choose databases of the config file. */
export function isOverSeveral(flags: Given<DatabaseFlags>): boolean {
  return flags.database !== undefined || flags['all-databases'] === true;
}

/** Duration of a start, in ms: rows hardly flow before. */
const startMs = 200;

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = globalFlags;
  /** Whether it does work, so that its runs are in the audit log; others only look. */
  static isRecorded = false;
  /** Whether it works on the database that the settings name, which a run that ended early is then of. */
  static hasDatabase = false;

  private isVerbose = false;

  private get facts(): typeof BaseCommand {
    return this.ctor as typeof BaseCommand;
  }

  /**
   * Runs a service and shows its result.
   * @param parsed the parsed flags
   * @param work the one call into the service layer
   * @param present the result as lines for stdout; left out under --json, and under --quiet unless its exit status is not 0 (then on stderr)
   * @param options what the result means for the exit status
   * @returns the result, which oclif prints as JSON under --json
   */
  protected async perform<R extends object>(
    parsed: Given<PerformFlags>,
    work: (context: RunContext, run: RunRecorder | undefined) => Promise<R>,
    present: (result: R, style: Style) => readonly string[],
    options: PerformOptions<R> = {},
  ): Promise<R & {schemaVersion: 1}> {
    const flags = defined<PerformFlags>(parsed);
    this.isVerbose = flags.verbose ?? false;
    const isQuiet = flags.quiet ?? false;
    const isJson = this.jsonEnabled();
    turnSignalsIntoErrors();
    // The objects of the start live long: to copy them at each of many collections takes a fifth of the time of a small backup.
    if (this.facts.isRecorded) setTimeout(collectAsInLongRuns, startMs).unref();
    refuseEmptyFlags(flags);
    refuseBadPlaces(flags);
    const interruption = new AbortController();
    const loaded = await withPasswordCommand(
      await loadSettings(flags, process.cwd(), process.env),
      interruption.signal,
    );
    const checkpoint = createCheckpoint(process.env['DESTINO_DB_FAULT'], interruption.signal);
    const release = abortOnSignals(interruption);
    const canAsk = !isJson && process.stdin.isTTY && process.stderr.isTTY;
    const progress = await this.startProgress(isJson, isQuiet);
    const settings = canAsk
      ? {
          ...loaded,
          typedPasswords: createTypedPasswords(async (question) => {
            const {askPassword} = await import('./ask-password.js');
            return progress.pause((write) =>
              askPassword(printable(question), process.stdin, write, interruption.signal),
            );
          }),
        }
      : loaded;
    const warnings = createWarnings((messages) =>
      this.writeLines(
        process.stderr,
        messages.map((warning) => `Warning: ${printable(warning)}`),
      ),
    );
    const isSilent = isQuiet || isJson;
    const run = await this.startRecording(flags, settings, options.isOverSeveral === true);
    warnings.add(...(await this.noteLeftovers(settings)), ...(await this.noteOpenSecrets(settings, flags)));
    const answers = {isYes: flags.yes ?? false, database: flags['confirm-db']};
    let isNameUsed = answers.database === undefined;
    let outcome: {result: R; exitCode: number} | {error: unknown};
    try {
      const result = await work(
        {
          settings,
          progress: printableProgress(
            flushBetweenSteps(run?.follow(progress) ?? progress, isSilent ? noFlush : warnings.flush),
          ),
          signal: interruption.signal,
          clock: systemClock,
          toolVersion: this.config.version,
          warn: (message) => warnings.add(message),
          record: (facts) => run?.record(facts),
          checkpoint,
          isConfirmed: (request) => {
            isNameUsed = true;
            return isAnswered(request, answers);
          },
          checkName: (target) => {
            isNameUsed = true;
            refuseOtherName(target, answers);
          },
          confirm: async (request) => {
            isNameUsed = true;
            // Warnings come before a question even with --quiet, and before the change where nothing is asked.
            if (!isSilent || !isAnswered(request, answers)) await warnings.flush();
            const {confirm} = await import('./confirm.js');
            await confirm(
              request,
              {...answers, canAsk},
              {input: process.stdin, output: process.stderr},
              interruption.signal,
            );
          },
        },
        run,
      );
      outcome = {result, exitCode: options.exitCodeOf?.(result) ?? 0};
      if (!isNameUsed)
        warnings.add(
          `--confirm-db "${answers.database ?? ''}" was compared with nothing: this run asks nothing.`,
        );
    } catch (error) {
      // An error that the interruption caused is reported as the interruption.
      const isInterrupted = interruption.signal.aborted && !(error instanceof AppError);
      outcome = {error: isInterrupted ? interruption.signal.reason : error};
    }
    await loaded.sshTunnel?.close();
    for (const tunnel of loaded.sourceTunnels?.values() ?? []) await tunnel.close();
    await progress.close();
    if (run) {
      const error = 'error' in outcome ? asAppError(outcome.error) : undefined;
      const exitCode = 'error' in outcome ? asAppError(outcome.error).exitCode : outcome.exitCode;
      warnings.add(...(await run.finish({error, exitCode, warnings: warnings.all})));
    }
    release();
    // A damaged backup or an alarm is a result, and the only word of it that cron's mail can bring.
    const isFinding = 'result' in outcome && outcome.exitCode !== 0;
    if (!isQuiet || isFinding) await warnings.flush();
    if ('error' in outcome) throw outcome.error;
    const {result, exitCode} = outcome;
    process.exitCode = exitCode;
    if (!isJson && (!isQuiet || isFinding)) {
      const stream = isQuiet ? process.stderr : process.stdout;
      const lines = present(result, this.styleFor(stream, flags['no-color'] ?? false));
      if (lines.length > 0) await this.writeLines(stream, lines);
    }
    return {schemaVersion: 1, ...result};
  }

  /** Runs a service for each of the databases that --database or --all-databases chooses, and shows all results. */
  protected async performEach<R extends object>(
    flags: Given<PerformFlags & DatabaseFlags>,
    work: (context: RunContext) => Promise<R>,
    view: SeveralView<R>,
    {exitCodeOf = () => 0, isLookedUp}: PerformEachOptions<R>,
  ): Promise<SeveralResult<R> & {schemaVersion: 1}> {
    const {refuseUrlBeside, runEach, worstExit} = await import('./run-each.js');
    const {showSeveral} = await import('./show/show-several.js');
    const choice = defined({names: flags.database, isAll: flags['all-databases']});
    return this.perform(
      flags,
      (context, run) => {
        refuseUrlBeside(flags);
        return runEach(context, run, choice, work, {exitCodeOf, isLookedUp});
      },
      showSeveral(view),
      {exitCodeOf: worstExit, isOverSeveral: true},
    );
  }

  override async catch(error: Interfaces.CommandError): Promise<void> {
    const {flags, baseFlags} = this.ctor;
    const failure = asAppError(error, {
      bin: this.config.bin,
      id: this.id ?? '',
      flags: [...Object.keys({...flags, ...baseFlags}), 'json'],
    });
    process.exitCode = failure.exitCode;
    if (this.jsonEnabled()) {
      process.stdout.write(jsonText(errorDocument(failure)));
      return;
    }
    const lines = errorLines(
      failure,
      this.styleFor(process.stderr, this.argv.includes('--no-color')),
      this.isVerbose,
    );
    await this.writeLines(process.stderr, lines);
  }

  override logJson(json: unknown): void {
    process.stdout.write(jsonText(json));
  }

  /** The next run that does work reports the leftovers of earlier ones. */
  private async noteLeftovers(settings: Settings): Promise<string[]> {
    if (!this.facts.isRecorded || this.id === 'recover') return [];
    const {leftoversNote} = await import('../run/journal.js');
    let foreign: readonly string[] = [];
    const note = await leftoversNote({settings}, (found) => (foreign = found));
    return [...(note === undefined ? [] : [note]), ...foreignNote(foreign)];
  }

  private async noteOpenSecrets(settings: Settings, flags: PerformFlags): Promise<string[]> {
    if (!this.facts.isRecorded) return [];
    const {warnOfOpenSecrets} = await import('../settings/open-secrets.js');
    return warnOfOpenSecrets(settings, flags);
  }

  /** Runs that do work are recorded; the code for it is loaded for them alone. */
  private async startRecording(
    flags: PerformFlags,
    settings: Settings,
    isOfSeveral: boolean,
  ): Promise<RunRecorder | undefined> {
    const command = this.id ?? '';
    const {isRecorded, hasDatabase} = this.facts;
    if (!(isRecorded || flags.forget !== undefined) || flags.guide === true) return undefined;
    const {startRun} = await import('./record-run.js');
    const changes = {dryRun: flags['dry-run'] === true, execute: flags.execute === true};
    return startRun({
      command,
      hasDatabase: hasDatabase && !isOfSeveral,
      isPreview: isPreview(command, changes),
      isAttended: process.stdin.isTTY || process.stderr.isTTY,
      settings,
      clock: systemClock,
      toolVersion: this.config.version,
    });
  }

  private async startProgress(isJson: boolean, isQuiet: boolean): Promise<PausableProgress> {
    const kind = chooseProgress({
      isJson,
      isQuiet,
      isTerminal: process.stderr.isTTY && process.stdout.isTTY,
      columns: process.stderr.columns,
      environment: process.env,
    });
    const pause: PausableProgress['pause'] = (ask) => pauseLines(process.stderr, ask);
    if (kind === 'silent') return {...silentProgress, pause};
    if (kind === 'lines') {
      const {createLineProgress} = await import('../progress/line-progress.js');
      const writeLine = (line: string): boolean => process.stderr.write(`${redact(line)}\n`);
      return {...createLineProgress(writeLine, systemClock), pause};
    }
    const {createListrProgress} = await import('../progress/listr-progress.js');
    return createListrProgress(process.stderr, systemClock);
  }

  private async writeLines(stream: NodeJS.WriteStream, lines: readonly string[]): Promise<void> {
    const {fitLines} = await import('./show/fit-lines.js');
    const width = stream.isTTY && stream.columns > 0 ? stream.columns : undefined;
    stream.write(`${fitLines(lines.map(redact), width, this.config.bin).join('\n')}\n`);
  }

  private styleFor(stream: NodeJS.WriteStream, noColor: boolean): Style {
    return createStyle(stream.isTTY, process.env, noColor, stream.columns);
  }
}

/** A program is loaded only for those who have configured one. */
async function withPasswordCommand(given: Settings, signal: AbortSignal): Promise<Settings> {
  const {config, environment} = given;
  const settings = await withSshTunnels(given, signal);
  if (!config.passwordCommand) return settings;
  const {createPasswordCommand} = await import('../postgres/tools/password-command.js');
  return {...settings, commandPassword: createPasswordCommand(config.passwordCommand, environment, signal)};
}

async function withSshTunnels(settings: Settings, signal: AbortSignal): Promise<Settings> {
  const {config, environment} = settings;
  const own = (config.databases ?? []).flatMap(({name, ssh}) => (ssh ? [{name, ssh}] : []));
  if (!config.ssh && own.length === 0) return settings;
  const {createSshTunnel} = await import('../postgres/tools/ssh-tunnel.js');
  return {
    ...settings,
    ...(config.ssh && {sshTunnel: createSshTunnel(config.ssh, environment, signal)}),
    sourceTunnels: new Map(own.map(({name, ssh}) => [name, createSshTunnel(ssh, environment, signal)])),
  };
}

const noFlush = (): Promise<void> => Promise.resolve();

/** The document for stdout; control characters and bidirectional overrides in names are escaped, as JSON allows and terminals need. */
function jsonText(value: unknown): string {
  const lines = JSON.stringify(redactValues(value), null, 2).split('\n');
  return `${lines.map(printable).join('\n')}\n`;
}

/** The first signal stops the work, which then cleans up; the second ends the process at once. */
function abortOnSignals(interruption: AbortController): () => void {
  const handlers = new Map<NodeJS.Signals, () => void>();
  const stop = (error: AppError): void => {
    if (interruption.signal.aborted) process.exit(error.exitCode);
    process.stderr.write('\nStopping: ending the tools and cleaning up; interrupt again to force it.\n');
    interruption.abort(error);
  };
  const state = 'Unfinished work was cleaned up, except where a warning says otherwise.';
  handlers.set('SIGINT', () => stop(new AppError('INTERRUPTED', `Interrupted. ${state}`)));
  handlers.set('SIGTERM', () => stop(new AppError('TERMINATED', `Terminated. ${state}`)));
  handlers.set('SIGHUP', () => stop(new AppError('TERMINATED', `The terminal was closed. ${state}`)));
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}

/** A closed pipe (`| head`) is not an error: keep working and report the outcome in the exit code. The same goes for a full disk. */
function turnSignalsIntoErrors(): void {
  // Without a listener a limit on the size of files (ulimit -f) kills the process; with one the write fails, and the error is reported.
  if (process.listenerCount('SIGXFSZ') === 0) process.on('SIGXFSZ', () => undefined);
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.listenerCount('error') > 0) continue;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // EIO: the terminal was closed, which SIGHUP reports as well.
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    });
  }
}
