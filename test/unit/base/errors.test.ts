import {describe, expect, it} from 'vitest';
import {
  AppError,
  errorCodeTable,
  messageOf,
  systemErrorCode,
  withState,
} from '../../../src/lib/base/errors.js';

describe('AppError', () => {
  it.each([
    ['RESTORE_FAILED', 1],
    ['USAGE', 2],
    ['PG_DUMP_NOT_FOUND', 3],
    ['VERIFY_FAILED', 4],
    ['NOT_CONFIRMED', 5],
    ['INTERRUPTED', 130],
    ['TERMINATED', 143],
  ] as const)('%s ends the program with status %i', (code, exitCode) => {
    const error = new AppError(code, 'It happened.');
    expect(error.exitCode).toBe(exitCode);
    expect(error.oclif).toEqual({exit: exitCode});
  });

  it('keeps hint, details and cause when a state is added', () => {
    const cause = new Error('deep');
    const error = new AppError('DISK_FULL', 'Full.', {hint: 'Free space.', details: ['a', 'b'], cause});
    const told = withState(error, 'Nothing was changed.');
    expect(told).toMatchObject({
      code: 'DISK_FULL',
      message: 'Full. Nothing was changed.',
      hint: 'Free space.',
      details: ['a', 'b'],
      cause,
    });
  });
});

describe('errorCodeTable', () => {
  it('gives every code a documented exit status and its own meaning', () => {
    const table = errorCodeTable();
    expect(new Set(table.map(({exitCode}) => exitCode))).toEqual(new Set([1, 2, 3, 4, 5, 130, 143]));
    expect(new Set(table.map(({meaning}) => meaning)).size).toBe(table.length);
    expect(table.every(({code}) => /^[A-Z]+(?:_[A-Z]+)*$/.test(code))).toBe(true);
  });
});

describe('unknown thrown values', () => {
  it('always have a message', () => {
    expect(messageOf(new Error('said'))).toBe('said');
    expect(messageOf('text')).toBe('text');
    expect(messageOf(undefined)).toBe('undefined');
  });

  it('have a system error code only if the code is text', () => {
    expect(systemErrorCode(Object.assign(new Error('x'), {code: 'ENOENT'}))).toBe('ENOENT');
    expect(systemErrorCode(Object.assign(new Error('x'), {code: 7}))).toBeUndefined();
    expect(systemErrorCode({code: 'ENOENT'})).toBeUndefined();
  });
});
