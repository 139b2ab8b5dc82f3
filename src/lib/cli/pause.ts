/** Waits for Enter between the phases of a workflow. */
import {createInterface} from 'node:readline/promises';
import {AppError} from '../base/errors.js';

/**
 * @param streams the terminal; questions go to `output`
 * @throws USAGE when nobody is there to press Enter, INTERRUPTED at the end of input, what else interrupts
 */
export function pauseForEnter(streams: {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}): (phase: string, signal: AbortSignal) => Promise<void> {
  if (!streams.input.isTTY || !streams.output.isTTY) {
    throw new AppError('USAGE', '--pause-steps needs a terminal, where somebody can press Enter.', {
      hint: 'Leave it out here.',
    });
  }
  return async (phase, signal) => {
    const prompt = createInterface(streams);
    const ended = new Promise<undefined>((resolve) => prompt.once('close', () => resolve(undefined)));
    const answer = await Promise.race([
      prompt.question(`${phase}: done. Press Enter to go on, Ctrl-C to stop. `, {signal}),
      ended,
    ]).finally(() => prompt.close());
    if (answer === undefined) throw new AppError('INTERRUPTED', 'Stopped at a pause.');
  };
}
