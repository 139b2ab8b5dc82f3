/** The questions of init, asked on a terminal; an empty answer takes what is in brackets. */
import {createInterface} from 'node:readline/promises';
import {AppError} from '../base/errors.js';
import type {InitAnswers} from '../services/init/init-project.js';
import {backupFormats} from '../base/formats.js';
import {isTimeZone} from '../base/time-zone.js';
import {machineZone} from '../services/schedule/zoned-time.js';
import {parsePlan, splitPlan} from '../services/schedule/plan.js';

/**
 * @param offered what an empty answer means, and the answers where nobody can be asked
 * @param mayAsk false when flags say that nothing is to be asked
 * @throws NOT_CONFIRMED at the end of input, INTERRUPTED on Ctrl-C
 */
export async function askInit(
  offered: InitAnswers,
  mayAsk: boolean,
  signal: AbortSignal,
  streams = {input: process.stdin, output: process.stderr},
): Promise<InitAnswers> {
  if (!mayAsk || !streams.input.isTTY || !streams.output.isTTY) return offered;
  const prompt = createInterface(streams);
  let isClosed = false;
  let isDone = false;
  const closed = new Promise<undefined>((resolve, reject) => {
    prompt.once('close', () => {
      if (!isDone) streams.output.write('\n'); // the cursor stands behind the question
      isClosed = true;
      resolve(undefined);
    });
    // While it asks, the terminal gives Ctrl-C to readline as a key instead of sending the signal.
    prompt.once('SIGINT', () => reject(new AppError('INTERRUPTED', 'Interrupted; nothing was written.')));
  });
  closed.catch(() => undefined); // the caller receives the error
  /** Asks again until `read` accepts the answer. */
  const ask = async <T>(question: string, shown: string, read: (answer: string) => T): Promise<T> => {
    for (;;) {
      const answer = isClosed
        ? undefined
        : await Promise.race([prompt.question(`${question} [${shown}]: `, {signal}), closed]);
      if (answer === undefined)
        throw new AppError('NOT_CONFIRMED', 'The questions were not answered; nothing was written.');
      try {
        return read(answer.trim() === '' ? shown : answer.trim());
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        streams.output.write(`${error.message}\n`);
      }
    }
  };
  try {
    const answers = {
      ...offered,
      backupsDir: await ask('Folder for backups', offered.backupsDir, (text) => text),
      format: await ask('Format: custom, sql or directory', offered.format, readFormat),
      keepDays: await ask('Keep backups for how many days', String(offered.keepDays ?? 'all'), readDays),
      productionHosts: await ask('Production hosts', list(offered.productionHosts), readList),
      productionDatabases: await ask('Production databases', list(offered.productionDatabases), readList),
      plan: await ask('Plan', offered.plan.join('; '), readPlan),
      timeZone: await ask('Time zone of the plan', offered.timeZone ?? machineZone(), readZone),
    };
    isDone = true;
    return answers;
  } finally {
    prompt.close();
  }
}

const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : values.join(', '));

function readList(text: string): string[] {
  return text === 'none'
    ? []
    : text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
}

function readFormat(text: string): InitAnswers['format'] {
  const format = backupFormats.find((name) => name === text);
  if (!format) throw new AppError('USAGE', `"${text}" is none of ${backupFormats.join(', ')}.`);
  return format;
}

function readDays(text: string): number | undefined {
  if (text === 'all') return undefined;
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new AppError('USAGE', `"${text}" is not a number of days; "all" keeps every backup.`);
  return Number(text);
}

function readPlan(text: string): string[] {
  parsePlan([text]);
  return splitPlan([text]);
}

function readZone(text: string): string {
  if (!isTimeZone(text))
    throw new AppError('USAGE', `"${text}" is not a time zone; an example is Europe/Berlin.`);
  return text;
}
