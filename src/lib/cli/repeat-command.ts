/** The command line that was given, changed a little, so that it can be pasted for the next step. */
import {shellCommand} from '../base/shell-quote.js';

/** Flags of one run only: how much it says, and the flags that make it a preview. */
const passingFlags = new Set([
  '--json',
  '--quiet',
  '-q',
  '--verbose',
  '--dry-run',
  '-n',
  '--preview',
  '--execute',
  '--details',
]);

/**
 * @param args the arguments as they were given
 * @param added words at the end
 * @param replaced flags, with their values, that these stand for
 */
export function repeatCommand(
  bin: string,
  id: string,
  args: readonly string[],
  added: readonly string[],
  replaced: readonly string[] = [],
): string {
  const kept: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? '';
    const [flag = ''] = word.split('=');
    if (passingFlags.has(word)) continue;
    if (!replaced.includes(flag)) kept.push(word);
    else if (flag === word) index += 1;
  }
  return shellCommand([bin, id, ...kept, ...added]);
}

/** The arguments without the one that stands for itself. @param flags of the command: those with a value take the word behind them */
export function withoutArgument(
  args: readonly string[],
  argument: string | undefined,
  flags: Readonly<Record<string, {readonly type: string; readonly char?: string | undefined}>>,
): string[] {
  const withValue = Object.entries(flags).flatMap(([name, {type, char}]) =>
    type === 'option' ? [`--${name}`, ...(char === undefined ? [] : [`-${char}`])] : [],
  );
  const at = args.findIndex((word, index) => word === argument && !withValue.includes(args[index - 1] ?? ''));
  return args.filter((_word, index) => index !== at);
}

const consents = ['--yes', '-y', '--no-confirm'];

/** The arguments without those that answer the question beforehand: a command pasted from a preview asks its question. */
export function withoutConsent(args: readonly string[]): string[] {
  return args.filter((word) => !consents.includes(word));
}
