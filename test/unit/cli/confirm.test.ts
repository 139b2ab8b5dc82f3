/** The question before a destructive step, asked on a terminal. */
import {PassThrough} from 'node:stream';
import {expect, it} from 'vitest';
import {confirm} from '../../../src/lib/cli/confirm.js';
import type {ConfirmRequest} from '../../../src/lib/run-context.js';

const request: ConfirmRequest = {
  action: 'Restore x into the database "shop".',
  host: 'localhost',
  database: 'shop',
  isProduction: false,
  plan: [],
};

/** Types `keys` at the question. */
async function answer(keys: string): Promise<string> {
  const input = Object.assign(new PassThrough(), {isTTY: true});
  const output = Object.assign(new PassThrough(), {isTTY: true, columns: 80});
  const asked = confirm(request, {isYes: false, database: undefined, canAsk: true}, {input, output});
  input.write(keys);
  return asked.then(
    () => 'confirmed',
    (error: unknown) => (error as {code: string}).code,
  );
}

it.each([
  ['the name', 'shop\r', 'confirmed'],
  ['another name', 'shops\r', 'NOT_CONFIRMED'],
  ['nothing', '\r', 'NOT_CONFIRMED'],
  ['the end of input', '\u0004', 'NOT_CONFIRMED'],
  ['Ctrl-C', '\u0003', 'INTERRUPTED'],
])('takes %s for what it is', async (_what, keys, outcome) => {
  expect(await answer(keys)).toBe(outcome);
});
