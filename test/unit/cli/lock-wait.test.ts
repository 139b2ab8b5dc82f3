import {expect, it} from 'vitest';
import {lockWaitMsOf} from '../../../src/lib/cli/flags.js';

it.each([
  [undefined, undefined],
  ['10s', 10_000],
  ['0.5s', 500],
  ['1d', 86_400_000],
])('reads --lock-wait %s', (text, ms) => {
  expect(lockWaitMsOf({'lock-wait': text})).toBe(ms);
});

it.each(['0s', '0.01s', '2d', '10', ''])(
  'refuses --lock-wait "%s", which PostgreSQL could take for no limit',
  (text) => {
    expect(() => lockWaitMsOf({'lock-wait': text})).toThrow(/--lock-wait/);
  },
);
