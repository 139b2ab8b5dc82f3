/** The question before a destructive step. */
import {createInterface} from 'node:readline/promises';
import {AppError} from '../base/errors.js';
import type {ConfirmRequest} from '../run/run-context.js';
import {shellCommand} from '../base/shell-quote.js';
import {confirms, type FlagAnswers, isAnswered, needsName, refuseOtherName} from './confirm-rules.js';
import {fitLines} from './show/fit-lines.js';
import {table} from './show/table.js';
import {wrapWords} from './show/wrap-words.js';

export interface ConfirmAnswers extends FlagAnswers {
  /** Whether somebody can be asked: stdin and stderr are terminals and there is no --json. */
  readonly canAsk: boolean;
}

/**
 * Decides by the flags, else asks on stderr for the database's name.
 * @throws CONFIRMATION_NEEDED when nobody can be asked, NOT_CONFIRMED on a wrong name or the end of input, INTERRUPTED on Ctrl-C
 */
export async function confirm(
  request: ConfirmRequest,
  answers: ConfirmAnswers,
  streams: {input: NodeJS.ReadableStream; output: NodeJS.WritableStream & {readonly columns?: number}},
  signal?: AbortSignal,
): Promise<void> {
  if (isAnswered(request, answers)) return;
  refuseOtherName(request, answers);
  const isNameNeeded = needsName(request);
  if (!answers.canAsk || answers.isYes) {
    const byName = shellCommand(['--confirm-db', request.database]);
    const flag = isNameNeeded ? byName : `--yes, or ${byName}`;
    throw new AppError(
      'CONFIRMATION_NEEDED',
      `This would ${lowerFirst(request.action)} It was not confirmed${request.isProduction ? ', and the target is production' : request.isIrreversible === true ? ' by name' : ''}; nothing was changed.`,
      {hint: `To go ahead, add ${flag}.`, details: request.plan},
    );
  }
  const width = streams.output.columns;
  const question = wrapWords(questionOf(request), width ?? Infinity);
  const lines = [...questionLines(request, width), ...question.slice(0, -1)];
  streams.output.write(`${lines.join('\n')}\n`);
  const prompt = createInterface({input: streams.input, output: streams.output});
  let answer: string | undefined;
  try {
    const closed = new Promise<string>((resolve, reject) => {
      prompt.once('close', () => {
        if (answer === undefined) streams.output.write('\n'); // the cursor stands behind the question
        resolve('');
      });
      // While it asks, the terminal gives Ctrl-C to readline as a key instead of sending the signal.
      prompt.once('SIGINT', () => reject(new AppError('INTERRUPTED', 'Interrupted; nothing was changed.')));
    });
    answer = await Promise.race([prompt.question(question.at(-1) ?? '', signal ? {signal} : {}), closed]);
  } finally {
    prompt.close();
  }
  const typed = answer.trim();
  if (!confirms(request, typed)) {
    const what = typed === '' ? 'The name was not confirmed' : `"${typed}" is not "${request.database}"`;
    throw new AppError('NOT_CONFIRMED', `${what}; nothing was changed.`);
  }
}

/** The action and its target, labels aligned, no wider than the terminal. */
function questionLines(request: ConfirmRequest, width: number | undefined): string[] {
  const {hostLabel = 'host', databaseLabel = 'database', host, database, isProduction} = request;
  const facts = [
    [hostLabel, host],
    [databaseLabel, `${database}${isProduction ? '  (production)' : ''}`],
    ...request.plan.flatMap((line) => {
      const [, label = '', text = ''] = labelled.exec(line) ?? [];
      return text === '' ? [] : [[label.trim(), text]];
    }),
  ];
  const others = request.plan.filter((line) => !labelled.test(line));
  const style = {bold: (text: string) => text, ...(width === undefined ? {} : {width})};
  const lines = [
    request.action,
    ...table(facts, style, {indent: 2}),
    ...others.map((line) => `  ${line}`),
    '',
  ];
  return fitLines(lines, width, 'destino-db');
}

/** "how  in place", or the next line of such a value, which is set in. */
const labelled = /^(\S+(?: \S+)* {2,}| {4,})(\S.*)$/;

function questionOf({database, databaseLabel}: ConfirmRequest): string {
  if (databaseLabel === 'word') return `Type "${database}" to go ahead: `;
  const names = databaseLabel === 'databases' ? 'names of the databases' : 'name of the database';
  return `Type the ${names} to go ahead: `;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
