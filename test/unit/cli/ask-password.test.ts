/** A password typed on a terminal, which shows nothing of it. */
import {PassThrough} from 'node:stream';
import {expect, it} from 'vitest';
import {askPassword} from '../../../src/lib/cli/ask-password.js';

/** The text read when these keys are typed, the output to the terminal, and its modes. */
async function type(keys: string, signal = new AbortController().signal) {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), {
    setRawMode(mode: boolean) {
      modes.push(mode);
      return input as never;
    },
  });
  let sent = '';
  const asked = askPassword('Password: ', input as never, (text) => (sent += text), signal);
  input.write(keys);
  const outcome = await asked.catch((error: unknown) => (error as {code: string}).code);
  return {outcome, sent, modes};
}

it.each([
  ['what is typed', 'sécret word\r', 'sécret word'],
  ['corrections', 'xx\u0015abd\u007fc\n', 'abc'],
  ['nothing', '\r', ''],
  ['the end of input', '\u0004', ''],
  ['Ctrl-C', 'abc\u0003', 'INTERRUPTED'],
])('takes %s', async (_what, keys, outcome) => {
  expect(await type(keys)).toEqual({outcome, sent: 'Password: ', modes: [true, false]});
});
