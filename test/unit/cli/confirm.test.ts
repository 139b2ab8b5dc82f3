/** The question before a destructive step, asked on a terminal. */
import {PassThrough} from 'node:stream';
import {expect, it} from 'vitest';
import {confirm} from '../../../src/lib/cli/confirm.js';
import type {FlagAnswers} from '../../../src/lib/cli/confirm-rules.js';
import type {AppError} from '../../../src/lib/base/errors.js';
import type {ConfirmRequest} from '../../../src/lib/run/run-context.js';

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
    (error: unknown) => `${(error as AppError).code}: ${(error as AppError).message}`,
  );
}

it.each([
  ['the name', 'shop\r', 'confirmed'],
  ['another name', 'shops\r', 'NOT_CONFIRMED: "shops" is not "shop"; nothing was changed.'],
  ['nothing', '\r', 'NOT_CONFIRMED: The name was not confirmed; nothing was changed.'],
  ['the end of input', '\u0004', 'NOT_CONFIRMED: The name was not confirmed; nothing was changed.'],
  ['Ctrl-C', '\u0003', 'INTERRUPTED: Interrupted; nothing was changed.'],
])('takes %s for what it is', async (_what, keys, outcome) => {
  expect(await answer(keys)).toBe(outcome);
});

/** Decides by flags alone: nobody can be asked. */
function byFlags(flags: Partial<FlagAnswers>, changes: Partial<ConfirmRequest> = {}): Promise<string> {
  const answers = {isYes: false, database: undefined, canAsk: false, ...flags};
  const silent = {input: new PassThrough(), output: new PassThrough()};
  return confirm({...request, ...changes}, answers, silent).then(
    () => 'confirmed',
    (error: unknown) => {
      const {code, hint} = error as AppError;
      return `${code}: ${hint ?? ''}`;
    },
  );
}

const production = {isProduction: true};
const several = {database: 'chinook,shop', databaseLabel: 'databases'} as const;
const irreversible = {isIrreversible: true};
it.each([
  ['--yes', {isYes: true}, {}, 'confirmed'],
  [
    '--yes for production',
    {isYes: true},
    production,
    'CONFIRMATION_NEEDED: To go ahead, add --confirm-db shop.',
  ],
  [
    '--yes for what has no way back',
    {isYes: true},
    irreversible,
    'CONFIRMATION_NEEDED: To go ahead, add --confirm-db shop.',
  ],
  ['the name', {database: 'shop'}, {}, 'confirmed'],
  ['the name for production', {database: 'shop'}, production, 'confirmed'],
  ['the name for what has no way back', {database: 'shop'}, irreversible, 'confirmed'],
  ['another name', {database: 'shop2'}, {}, 'NOT_CONFIRMED: '],
  ['another name and --yes', {database: 'shop2', isYes: true}, {}, 'NOT_CONFIRMED: '],
  ['the names of several', {database: 'shop, chinook'}, several, 'confirmed'],
  ['one name of several', {database: 'shop'}, several, 'NOT_CONFIRMED: '],
  ['nothing', {}, {}, 'CONFIRMATION_NEEDED: To go ahead, add --yes, or --confirm-db shop.'],
  ['nothing for production', {}, production, 'CONFIRMATION_NEEDED: To go ahead, add --confirm-db shop.'],
])('without a terminal, %s', async (_what, flags, changes, outcome) => {
  expect(await byFlags(flags, changes)).toBe(outcome);
});

it('asks with aligned labels, and breaks no word on a narrow terminal', async () => {
  const input = Object.assign(new PassThrough(), {isTTY: true});
  const output = Object.assign(new PassThrough(), {isTTY: true, columns: 40});
  const plan = [
    'content  the whole database, 1,975 rows',
    'there now  15 tables, 10 types',
    'public.orders: 12 rows deleted',
  ];
  const asked = confirm(
    {...request, plan},
    {isYes: false, database: undefined, canAsk: true},
    {input, output},
  );
  input.write('shop\r');
  await asked;
  const shown = String(output.read()).split('\n');
  expect(shown.slice(0, 9)).toEqual([
    'Restore x into the database "shop".',
    '  host       localhost',
    '  database   shop',
    '  content    the whole database, 1,975',
    '             rows',
    '  there now  15 tables, 10 types',
    '  public.orders: 12 rows deleted',
    '',
    'Type the name of the database to go',
  ]);
});
