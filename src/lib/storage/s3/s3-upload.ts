/** Uploads an object of any length to a bucket, in parts. */
import type {
  CompletedPart,
  CreateMultipartUploadCommandInput,
  PutObjectCommandInput,
  S3Client,
} from '@aws-sdk/client-s3';
import {AppError} from '../../base/errors.js';
import {explainS3Error} from './explain-s3-error.js';
import {isAway, type WriteOptions} from '../place.js';
import {mostParts, partsAtOnce, partSize} from './part-size.js';

export interface UploadTarget {
  readonly client: S3Client;
  readonly Bucket: string;
  readonly Key: string;
  /** Properties of the new object: lock, encryption, storage class. */
  readonly properties: Partial<CreateMultipartUploadCommandInput & PutObjectCommandInput>;
}

/**
 * The object appears complete or not at all. A short one is sent in one request.
 * Memory: the part being filled and those being sent, see part-size.ts.
 * @throws the errors of the SDK and of `source`
 */
export async function upload(
  target: UploadTarget,
  source: AsyncIterable<Buffer>,
  options: WriteOptions,
): Promise<void> {
  const {client, Bucket, Key, properties} = target;
  const parts = inParts(source, options.expectedBytes);
  try {
    const first = await parts.next();
    const body = first.done === true ? Buffer.alloc(0) : first.value;
    if (body.length === partSize(1, options.expectedBytes)) {
      await uploadInParts(target, parts, body, options);
      return;
    }
    const {PutObjectCommand} = await import('@aws-sdk/client-s3');
    await client.send(new PutObjectCommand({Bucket, Key, Body: body, ...properties}), abortOf(options));
    options.onBytes?.(body.length);
  } finally {
    await parts.return(undefined); // closes the source if the upload failed
  }
}

function abortOf({signal}: WriteOptions): {abortSignal?: AbortSignal} {
  return signal === undefined ? {} : {abortSignal: signal};
}

async function uploadInParts(
  {client, Bucket, Key, properties}: UploadTarget,
  parts: AsyncIterator<Buffer>,
  first: Buffer,
  options: WriteOptions,
): Promise<void> {
  const sdk = await import('@aws-sdk/client-s3');
  const abort = abortOf(options);
  const checksum = properties.ChecksumAlgorithm ? {ChecksumAlgorithm: properties.ChecksumAlgorithm} : {};
  const {UploadId = ''} = await client.send(
    new sdk.CreateMultipartUploadCommand({Bucket, Key, ...properties}),
    abort,
  );
  const done: CompletedPart[] = [];
  const running = new Set<Promise<void>>();
  let failure: Error | undefined;
  let sent = 0;
  const send = async (PartNumber: number, Body: Buffer): Promise<void> => {
    try {
      const answer = await client.send(
        new sdk.UploadPartCommand({Bucket, Key, UploadId, PartNumber, Body, ...checksum}),
        abort,
      );
      done.push({PartNumber, ETag: answer.ETag, ChecksumCRC32: answer.ChecksumCRC32});
      sent += Body.length;
      options.onBytes?.(sent);
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
    }
  };
  try {
    let number = 1;
    for (let part: Buffer | undefined = first; part !== undefined; number += 1) {
      if (number > mostParts)
        throw new AppError('STORAGE_FAILED', `s3://${Bucket}/${Key} is too large for an object.`);
      const sending: Promise<void> = send(number, part).finally(() => running.delete(sending));
      running.add(sending);
      while (running.size >= partsAtOnce(part.length)) await Promise.race(running);
      if (failure) throw failure;
      const next: IteratorResult<Buffer, unknown> = await parts.next();
      part = next.done === true ? undefined : next.value;
    }
    await Promise.all(running);
    if (failure) throw failure;
    done.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    await client.send(
      new sdk.CompleteMultipartUploadCommand({Bucket, Key, UploadId, MultipartUpload: {Parts: done}}),
      abort,
    );
  } catch (error) {
    await Promise.allSettled(running);
    // An unreachable store would cause another wait; the upload stays in the journal, and recover aborts it.
    if (!isAway(explainS3Error(error, Key))) {
      try {
        await client.send(new sdk.AbortMultipartUploadCommand({Bucket, Key, UploadId}));
      } catch {
        // Report the first error; the upload stays in the journal.
      }
    }
    throw error;
  }
}

/** The source as buffers of the part sizes; the last may be smaller, none is empty. */
async function* inParts(
  source: AsyncIterable<Buffer>,
  expectedBytes: number | undefined,
): AsyncGenerator<Buffer> {
  let number = 1;
  let part = Buffer.allocUnsafe(partSize(number, expectedBytes));
  let filled = 0;
  for await (const chunk of source) {
    let taken = 0;
    while (taken < chunk.length) {
      const copied = chunk.copy(part, filled, taken);
      taken += copied;
      filled += copied;
      if (filled < part.length) continue;
      yield part;
      number += 1;
      part = Buffer.allocUnsafe(partSize(number, expectedBytes));
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}
