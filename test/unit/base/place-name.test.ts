import {describe, expect, it} from 'vitest';
import {parseBucketUrl, placeProblem} from '../../../src/lib/base/place-name.js';

describe('a location', () => {
  it.each([
    ['s3://bucket', 'bucket', ''],
    ['s3://bucket/', 'bucket', ''],
    ['s3://my.bucket-1/shop', 'my.bucket-1', 'shop'],
    ['s3://bucket//a/b c/ñ//', 'bucket', 'a/b c/ñ'],
    ['s3://Tenant:Old_Bucket/x', 'Tenant:Old_Bucket', 'x'],
  ])('%s is the bucket %s with the prefix "%s"', (name, bucket, prefix) => {
    expect(parseBucketUrl(name)).toEqual({bucket, prefix});
    expect(placeProblem(name)).toBeUndefined();
  });

  it.each([
    's3://',
    's3:///shop',
    's3://../..//',
    's3://a',
    's3://a..b/x',
    's3://-bucket',
    's3://a b/x',
    's3://bucket?x',
  ])('%s does not name a bucket', (name) => {
    expect(placeProblem(name)).toMatch(/does not name a bucket/);
  });

  it.each(['s3://bucket/../other', 's3://bucket/a/./b', 's3://bucket/..'])(
    '"." and ".." are refused in the prefix of %s',
    (name) => {
      expect(placeProblem(name)).toMatch(/have no meaning/);
    },
  );

  it.each([
    'S3://bucket/shop',
    's3:/bucket/shop',
    's3//bucket/shop',
    's3:bucket/shop',
    'gs://bucket',
    'https://s3.example.com/bucket',
    'file:///backups',
  ])('%s is neither a bucket nor a folder', (name) => {
    expect(placeProblem(name)).toMatch(/neither/);
  });

  it.each([
    'backups',
    '/var/backups',
    '../up',
    './s3:/odd',
    'C:/backups',
    'C:\\backups',
    'a:b',
    '2026-01-01',
  ])('%s may be a folder', (name) => {
    expect(placeProblem(name)).toBeUndefined();
  });
});
