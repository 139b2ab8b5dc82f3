/** Errors as people and scripts see them. */
import {expect, it} from 'vitest';
import {asAppError, errorDocument, errorLines} from '../../../../src/lib/cli/show/show-error.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {AppError} from '../../../../src/lib/base/errors.js';

const style = createStyle(false, {});
const details = Array.from({length: 10}, (_, index) => `line ${index}`);
const error = new AppError('PG_DUMP_FAILED', 'It failed.', {details, hint: 'Look at it.'});

it('the first details are shown, and how many more there are; with --verbose all of them', () => {
  expect(errorLines(error, style, false)).toEqual([
    'Error PG_DUMP_FAILED: It failed.',
    ...details.slice(0, 8).map((line) => `  ${line}`),
    '  and 2 more lines; --verbose shows all',
    'Next: Look at it.',
  ]);
  expect(errorLines(error, style, true)).toEqual(
    expect.arrayContaining(['  line 0', expect.stringContaining('show-error.test.ts')]) as string[],
  );
});

it('neither a message nor a detail nor a hint can move the cursor', () => {
  const hostile = new AppError('QUERY_FAILED', 'bad \u001b[2J name\nsecond', {
    details: ['\u001b[1A\tx'],
    hint: 'See \u001b[2J.',
  });
  expect(errorLines(hostile, style, false)).toEqual([
    'Error QUERY_FAILED: bad \\u001b[2J name\nsecond',
    '  \\u001b[1A  x',
    'Next: See \\u001b[2J.',
  ]);
});

it('scripts get code, message, hint, details and exit code', () => {
  expect(errorDocument(error)).toEqual({
    schemaVersion: 1,
    error: {code: 'PG_DUMP_FAILED', message: 'It failed.', hint: 'Look at it.', exitCode: 1, details},
  });
  expect(errorDocument(new AppError('LOCKED', 'Busy.'))).toEqual({
    schemaVersion: 1,
    error: {code: 'LOCKED', message: 'Busy.', exitCode: 5},
  });
});

it('an unexpected error is reported as a defect, with its message', () => {
  const unexpected = asAppError(new TypeError('x is undefined'));
  expect([unexpected.code, unexpected.exitCode, unexpected.message]).toEqual([
    'UNEXPECTED',
    1,
    'Unexpected: x is undefined',
  ]);
  expect(unexpected.hint).toContain('defect');
});
