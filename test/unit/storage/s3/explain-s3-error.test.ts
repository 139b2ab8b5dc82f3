/** The translation of each error of a store: by its name, by the error of the connection, or by its status only. */
import {describe, expect, it} from 'vitest';
import type {AppError} from '../../../../src/lib/base/errors.js';
import {explainS3Error} from '../../../../src/lib/storage/s3/explain-s3-error.js';
import {isAway} from '../../../../src/lib/storage/place.js';

/** In the form of the SDK. */
function failure(name: string, more: {code?: string; status?: number; message?: string} = {}): Error {
  const error = Object.assign(new Error(more.message ?? 'as the store says'), {
    ...(more.code === undefined ? {} : {code: more.code}),
    ...(more.status === undefined ? {} : {$metadata: {httpStatusCode: more.status}}),
  });
  error.name = name;
  return error;
}

const explain = (error: unknown): AppError => explainS3Error(error, 's3://bucket/shop');

it.each([
  ['AccessDenied', 'STORAGE_DENIED'],
  ['AllAccessDisabled', 'STORAGE_DENIED'],
  ['AccountProblem', 'STORAGE_DENIED'],
  ['AuthorizationHeaderMalformed', 'STORAGE_WRONG_REGION'],
  ['ConditionalRequestConflict', 'STORAGE_CONFLICT'],
  ['CredentialsProviderError', 'STORAGE_CREDENTIALS'],
  ['ExpiredToken', 'STORAGE_TOKEN_EXPIRED'],
  ['ExpiredTokenException', 'STORAGE_TOKEN_EXPIRED'],
  ['IllegalLocationConstraintException', 'STORAGE_WRONG_REGION'],
  ['InsufficientStorage', 'STORAGE_FULL'],
  ['InvalidAccessKeyId', 'STORAGE_CREDENTIALS'],
  ['InvalidToken', 'STORAGE_CREDENTIALS'],
  ['NoSuchBucket', 'STORAGE_BUCKET_NOT_FOUND'],
  ['NoSuchKey', 'BACKUP_INCOMPLETE'],
  ['NotFound', 'BACKUP_INCOMPLETE'],
  ['PermanentRedirect', 'STORAGE_WRONG_REGION'],
  ['PreconditionFailed', 'STORAGE_CONFLICT'],
  ['ProviderError', 'STORAGE_CREDENTIALS'],
  ['QuotaExceeded', 'STORAGE_FULL'],
  ['RequestExpired', 'STORAGE_CLOCK_SKEW'],
  ['RequestTimeTooSkewed', 'STORAGE_CLOCK_SKEW'],
  ['RequestTimeout', 'STORAGE_TIMEOUT'],
  ['SignatureDoesNotMatch', 'STORAGE_CREDENTIALS'],
  ['SlowDown', 'STORAGE_TIMEOUT'],
  ['TemporaryRedirect', 'STORAGE_WRONG_REGION'],
  ['TimeoutError', 'STORAGE_TIMEOUT'],
  ['SomethingNew', 'STORAGE_FAILED'],
] as const)('%s is %s, whatever the status beside it', (name, code) => {
  // A status with another meaning of its own.
  const status = code === 'STORAGE_FAILED' ? 500 : code === 'STORAGE_DENIED' ? 412 : 403;
  const error = explain(failure(name, {status}));
  expect(error.code).toBe(code);
  expect(error.message).toContain('s3://bucket/shop');
  if (code !== 'STORAGE_FAILED') expect(error.hint).toMatch(/\w/);
});

it.each([
  ['ECONNREFUSED', 'STORAGE_UNREACHABLE'],
  ['ECONNRESET', 'STORAGE_UNREACHABLE'],
  ['EPIPE', 'STORAGE_UNREACHABLE'],
  ['EPROTO', 'STORAGE_UNREACHABLE'],
  ['EHOSTUNREACH', 'STORAGE_UNREACHABLE'],
  ['ENETUNREACH', 'STORAGE_UNREACHABLE'],
  ['ENOTFOUND', 'STORAGE_UNREACHABLE'],
  ['EAI_AGAIN', 'STORAGE_UNREACHABLE'],
  ['ETIMEDOUT', 'STORAGE_TIMEOUT'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'STORAGE_UNREACHABLE'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'STORAGE_UNREACHABLE'],
  ['CERT_HAS_EXPIRED', 'STORAGE_UNREACHABLE'],
] as const)('a connection that ends with %s is %s, also where the SDK calls it a time-out', (code, told) => {
  const error = explain(failure('Error', {code}));
  expect(error.code).toBe(told);
  expect(error.message).toContain(`(${code})`);
  if (!code.includes('_') || code === 'EAI_AGAIN')
    expect(explain(failure('TimeoutError', {code})).code).toBe(told);
});

it.each([
  [301, 'STORAGE_WRONG_REGION'],
  [307, 'STORAGE_WRONG_REGION'],
  [403, 'STORAGE_DENIED'],
  [412, 'STORAGE_CONFLICT'],
  [507, 'STORAGE_FULL'],
  [500, 'STORAGE_FAILED'],
] as const)('an answer without a body and with status %i is %s', (status, code) => {
  expect(explain(failure('Unknown', {status})).code).toBe(code);
});

describe('what to do next', () => {
  it('depends on the error', () => {
    const hint = (name: string): string => explain(failure(name)).hint ?? '';
    expect(hint('SignatureDoesNotMatch')).toContain('AWS_SECRET_ACCESS_KEY');
    expect(hint('CredentialsProviderError')).toContain('role');
    expect(hint('AccessDenied')).toContain('s3:PutObject');
    expect(hint('ExpiredToken')).toContain('new temporary credentials');
    expect(hint('PermanentRedirect')).toContain('AWS_REGION');
    expect(hint('RequestTimeTooSkewed')).toContain('clock');
    expect(hint('QuotaExceeded')).toContain('prune --from');
    expect(hint('NoSuchBucket')).toContain('does not create buckets');
  });

  it('is to set the region if none is known', () => {
    const error = explain(failure('Error', {message: 'Region is missing'}));
    expect([error.code, error.message]).toEqual([
      'STORAGE_WRONG_REGION',
      's3://bucket/shop: the store was not asked: no region is known (Region is missing).',
    ]);
  });
});

it('treats a store without an answer as unreachable, but not one that refuses', () => {
  const away = ['ECONNREFUSED', 'ETIMEDOUT'].map((code) => explain(failure('Error', {code})));
  expect([...away.map(isAway), isAway(explain(failure('AccessDenied'))), isAway(new Error('x'))]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
