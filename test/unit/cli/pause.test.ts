import {PassThrough} from 'node:stream';
import {expect, it} from 'vitest';
import {pauseForEnter} from '../../../src/lib/cli/pause.js';

function terminal(isTTY = true) {
  const input = Object.assign(new PassThrough(), {isTTY});
  const output = Object.assign(new PassThrough(), {isTTY});
  output.setEncoding('utf8');
  return {input, output} as unknown as {input: NodeJS.ReadStream & PassThrough; output: NodeJS.WriteStream & PassThrough}; // prettier-ignore
}

const never = new AbortController().signal;

it('waits for Enter between two phases, each time anew, and says which one is done', async () => {
  const streams = terminal();
  const pause = pauseForEnter(streams);
  for (const phase of ['Back up', 'Verify']) {
    let isOver = false;
    const waiting = pause(phase, never).then(() => (isOver = true));
    await new Promise((resolve) => streams.output.once('data', resolve));
    expect(isOver).toBe(false);
    streams.input.write('\n');
    expect(await waiting).toBe(true);
  }
});

it('stops at the end of input', async () => {
  const streams = terminal();
  const waiting = pauseForEnter(streams)('Back up', never);
  streams.input.end();
  await expect(waiting).rejects.toMatchObject({code: 'INTERRUPTED'});
});

it('ends at once when the run is stopped from elsewhere', async () => {
  const stop = new AbortController();
  const waiting = pauseForEnter(terminal())('Back up', stop.signal);
  stop.abort();
  await expect(waiting).rejects.toThrow();
});

it('is refused where nobody can press Enter', () => {
  expect(() => pauseForEnter(terminal(false))).toThrow('--pause-steps needs a terminal');
});
