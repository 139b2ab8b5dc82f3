/** Asks for a password, which is not shown. */
import {AppError} from '../base/errors.js';

/**
 * Reads keys until Enter. Backspace and Ctrl-U correct, as on every terminal.
 * @param write shows the question
 * @returns what was typed; empty at the end of input
 * @throws INTERRUPTED on Ctrl-C, what aborts `signal`
 */
export async function askPassword(
  question: string,
  input: Pick<NodeJS.ReadStream, 'setRawMode' | 'setEncoding' | 'on' | 'off' | 'pause' | 'resume'>,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  input.setEncoding('utf8');
  // Before the question: what is typed at its sight must not be shown.
  input.setRawMode(true);
  write(question);
  let release = (): void => undefined;
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const onData = (keys: string): void => {
        for (const key of keys) {
          if (key === '\r' || key === '\n' || key === '\u0004') return resolve(typed);
          if (key === '\u0003')
            return reject(new AppError('INTERRUPTED', 'Interrupted at the question for a password.'));
          if (key === '\u0015') typed = '';
          else if (key === '\u007f' || key === '\b') typed = [...typed].slice(0, -1).join('');
          else if (key >= ' ') typed += key;
        }
      };
      const onEnd = (): void => resolve('');
      const onAbort = (): void => reject(signal.reason as Error);
      input.on('data', onData);
      input.on('end', onEnd);
      signal.addEventListener('abort', onAbort, {once: true});
      release = () => {
        input.off('data', onData);
        input.off('end', onEnd);
        signal.removeEventListener('abort', onAbort);
      };
      input.resume();
    });
  } finally {
    release();
    input.setRawMode(false);
    input.pause();
  }
}
