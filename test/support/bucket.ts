/** Buckets on the run's object store, and the settings to reach it. */
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {randomBytes} from 'node:crypto';
import {existsSync} from 'node:fs';
import {inject} from 'vitest';
import {until} from './observe.js';

export const store = inject('objectStore');

// A busy machine needs minutes to start it.
await until(
  'the object store answers',
  () => existsSync(`${store.folder}/ready`) || !existsSync(store.folder),
  600_000,
);
if (!existsSync(store.folder)) throw new Error('the object store did not start');

export function storeClient(user = 'tester'): S3Client {
  return new S3Client({
    endpoint: store.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {accessKeyId: `${user}-key`, secretAccessKey: `${user}-secret`},
  });
}

/** A new bucket, which is removed with the store. */
export async function createBucket(options: {user?: string; isLocking?: boolean} = {}): Promise<string> {
  const Bucket = `test-${randomBytes(6).toString('hex')}`;
  const command = new CreateBucketCommand({
    Bucket,
    ...(options.isLocking ? {ObjectLockEnabledForBucket: true} : {}),
  });
  await plainly(storeClient(options.user).send(command));
  return Bucket;
}

/** Variables with which the program reaches the store. */
export function storeEnvironment(user = 'tester'): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_S3: store.endpoint,
    AWS_ACCESS_KEY_ID: `${user}-key`,
    AWS_SECRET_ACCESS_KEY: `${user}-secret`,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

export async function keysIn(Bucket: string, user = 'tester'): Promise<string[]> {
  const {Contents = []} = await plainly(storeClient(user).send(new ListObjectsV2Command({Bucket})));
  return Contents.map(({Key = ''}) => Key).sort();
}

/** Replaces one text in the second half of the only dump by another of the same length, so that no tool would notice. */
export async function changeDump(Bucket: string, from: string, to: string): Promise<void> {
  const Key = (await keysIn(Bucket)).find((key) => !key.endsWith('.json')) ?? '';
  const {Body} = await storeClient().send(new GetObjectCommand({Bucket, Key}));
  const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
  const at = bytes.indexOf(from, bytes.length / 2);
  if (at === -1 || from.length !== to.length) throw new Error(`"${from}" cannot become "${to}" in ${Key}`);
  bytes.write(to, at);
  await storeClient().send(new PutObjectCommand({Bucket, Key, Body: bytes}));
}

export async function uploadsIn(Bucket: string, user = 'tester'): Promise<string[]> {
  const {Uploads = []} = await plainly(storeClient(user).send(new ListMultipartUploadsCommand({Bucket})));
  return Uploads.map(({Key = ''}) => Key);
}

/** The SDK's errors reference sockets and complete requests, which a test reporter would print for minutes. */
async function plainly<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Error(String(error));
  }
}
