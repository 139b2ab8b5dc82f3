/** An S3-compatible bucket as a place for backups: the only file that uses the AWS SDK. */
import {randomBytes} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {Readable} from 'node:stream';
import type {PutObjectCommandInput, S3Client} from '@aws-sdk/client-s3';
import {AppError, messageOf} from '../errors.js';
import type {Settings} from '../settings/settings.js';
import {explainS3Error, statusOf} from './explain-s3-error.js';
import {mostParts, partsAtOnce, partSize} from './part-size.js';
import type {ObjectStatus, Place, WriteOptions} from './place.js';
import {withoutStall} from './without-stall.js';

const defaultTimeoutSeconds = 30;
const attempts = 3;

/**
 * Credentials come from AWS_* variables (environment, .env files), else from the SDK's chain: profile, container, machine role.
 * No request is made yet.
 * @throws USAGE when the URL names no bucket, CONFIG_INVALID for a certificate file that cannot be read
 */
export async function s3Place(settings: Settings, url: string): Promise<Place> {
  const match = /^s3:\/\/([^/]+)(?:\/(.*?))?\/*$/.exec(url);
  const bucket = match?.[1];
  if (bucket === undefined) {
    throw new AppError('USAGE', `"${url}" names no bucket.`, {hint: 'Write it as s3://bucket/prefix.'});
  }
  const folder = match?.[2] ? `${match[2]}/` : '';
  const sdk = await import('@aws-sdk/client-s3');
  const config = settings.config.storage ?? {};
  const timeoutMs = (config.timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
  const client = await makeClient(settings, timeoutMs);
  const base = `s3://${bucket}/`;
  const at = (key: string): {Bucket: string; Key: string} => ({Bucket: bucket, Key: folder + key});

  async function request<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explainS3Error(error, key === '' ? url : base + folder + key);
    }
  }

  /** What every new object gets; nothing is read before it is needed, so that the date of the lock is that of the write. */
  function properties(): Partial<PutObjectCommandInput> {
    const {lockMode, lockDays = 1} = config;
    return {
      ...(config.encryption ? {ServerSideEncryption: config.encryption} : {}),
      ...(config.kmsKeyId === undefined ? {} : {SSEKMSKeyId: config.kmsKeyId}),
      ...(lockMode
        ? {
            ObjectLockMode: lockMode,
            ObjectLockRetainUntilDate: new Date(Date.now() + lockDays * 86_400_000),
          }
        : {}),
    };
  }
  // A write with a lock is refused without a checksum (S3 API reference, PutObject).
  const lockChecksum = config.lockMode ? {ChecksumAlgorithm: 'CRC32' as const} : {};
  const storageClass =
    config.storageClass === undefined ? {} : {StorageClass: config.storageClass as 'STANDARD'};

  async function writeInParts(
    key: string,
    parts: AsyncIterator<Buffer>,
    first: Buffer,
    options: WriteOptions,
  ): Promise<void> {
    const abort = options.signal === undefined ? {} : {abortSignal: options.signal};
    const created = await client.send(
      new sdk.CreateMultipartUploadCommand({...at(key), ...properties(), ...lockChecksum, ...storageClass}),
      abort,
    );
    const UploadId = created.UploadId ?? '';
    const finished = await options.onUpload?.(UploadId);
    const done: {PartNumber: number; ETag: string | undefined; ChecksumCRC32?: string | undefined}[] = [];
    const running = new Set<Promise<void>>();
    let failure: Error | undefined;
    let sent = 0;
    const send = async (PartNumber: number, Body: Buffer): Promise<void> => {
      try {
        const answer = await client.send(
          new sdk.UploadPartCommand({...at(key), UploadId, PartNumber, Body, ...lockChecksum}),
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
          throw new AppError('STORAGE_FAILED', `${base}${folder}${key} is too large for an object.`);
        const sending: Promise<void> = send(number, part).finally(() => running.delete(sending));
        running.add(sending);
        while (running.size >= partsAtOnce(part.length)) await Promise.race(running);
        if (failure) throw failure;
        const next: IteratorResult<Buffer, unknown> = await parts.next();
        part = next.done === true ? undefined : next.value;
      }
      await Promise.all(running);
      if (failure) throw failure;
      done.sort((a, b) => a.PartNumber - b.PartNumber);
      await client.send(
        new sdk.CompleteMultipartUploadCommand({...at(key), UploadId, MultipartUpload: {Parts: done}}),
        abort,
      );
    } catch (error) {
      await Promise.allSettled(running);
      try {
        await client.send(new sdk.AbortMultipartUploadCommand({...at(key), UploadId}));
        await finished?.();
      } catch {
        // The store may be away: the upload stays in the journal, and recover takes it away.
      }
      throw error;
    }
    await finished?.();
  }

  const place: Place = {
    url: base + folder.replace(/\/$/, ''),
    stagingFolder: (id) => `data/${id}.${randomBytes(6).toString('hex')}/`,
    settle: (staging) => Promise.resolve(staging),

    async *list(below, isDeep, signal) {
      const pages = sdk.paginateListObjectsV2(
        {client},
        {Bucket: bucket, Prefix: folder + below, ...(isDeep ? {} : {Delimiter: '/'})},
      );
      const iterator = pages[Symbol.asyncIterator]();
      for (;;) {
        signal?.throwIfAborted();
        const page = await request('', () => iterator.next());
        if (page.done === true) return;
        for (const {Key = '', Size = 0, LastModified = new Date(0)} of page.value.Contents ?? []) {
          yield {key: Key.slice(folder.length), sizeBytes: Size, modifiedAt: LastModified};
        }
      }
    },

    async read(key, signal, range) {
      const answer = await request(key, () =>
        client.send(
          new sdk.GetObjectCommand({
            ...at(key),
            ...(range ? {Range: `bytes=${range.start}-${range.end}`} : {}),
          }),
          signal === undefined ? {} : {abortSignal: signal},
        ),
      );
      if (!(answer.Body instanceof Readable)) {
        throw new AppError('STORAGE_FAILED', `${base}${folder}${key}: the store sent no content.`);
      }
      return Readable.from(
        withoutStall(answer.Body, timeoutMs, (error) => explainS3Error(error, base + folder + key)),
        {
          objectMode: false,
        },
      );
    },

    async write(key, source, options = {}) {
      await request(key, async () => {
        const parts = inParts(source, options.expectedBytes);
        const first = await parts.next();
        const body = first.done === true ? Buffer.alloc(0) : first.value;
        if (body.length === partSize(1, options.expectedBytes))
          return writeInParts(key, parts, body, options);
        await client.send(
          new sdk.PutObjectCommand({
            ...at(key),
            Body: body,
            ...properties(),
            ...lockChecksum,
            ...storageClass,
          }),
          options.signal === undefined ? {} : {abortSignal: options.signal},
        );
        options.onBytes?.(body.length);
      });
    },

    async writeText(key, text, replaces) {
      await request(key, () =>
        client.send(
          new sdk.PutObjectCommand({
            ...at(key),
            Body: Buffer.from(text),
            ContentType: 'application/json',
            ...properties(),
            ...lockChecksum,
            ...(replaces === null ? {IfNoneMatch: '*'} : {IfMatch: replaces}),
          }),
        ),
      );
    },

    status: (key) =>
      request(key, async (): Promise<ObjectStatus | undefined> => {
        try {
          const head = await client.send(new sdk.HeadObjectCommand(at(key)));
          return {
            sizeBytes: head.ContentLength ?? 0,
            // Without the quotes of the header: Ceph compares conditions with the bare text, others take both.
            tag: (head.ETag ?? '').replaceAll('"', ''),
            lockedUntil: head.ObjectLockRetainUntilDate ?? null,
          };
        } catch (error) {
          if (statusOf(error) === 404) return undefined;
          throw error;
        }
      }),

    async remove(key) {
      await request(key, async () => {
        const {Versions = [], DeleteMarkers = []} = await client.send(
          new sdk.ListObjectVersionsCommand({Bucket: bucket, Prefix: folder + key}),
        );
        const versions = [...Versions, ...DeleteMarkers].filter(({Key}) => Key === folder + key);
        for (const {VersionId} of versions) {
          const isVersioned = VersionId !== undefined && VersionId !== 'null';
          await client.send(new sdk.DeleteObjectCommand({...at(key), ...(isVersioned ? {VersionId} : {})}));
        }
      });
    },

    async *unfinishedUploads() {
      let next: {KeyMarker?: string | undefined; UploadIdMarker?: string | undefined} = {};
      for (;;) {
        const from = next;
        const page = await request('', () =>
          client.send(new sdk.ListMultipartUploadsCommand({Bucket: bucket, Prefix: folder, ...from})),
        );
        for (const {Key = '', UploadId = '', Initiated = new Date(0)} of page.Uploads ?? []) {
          yield {key: Key.slice(folder.length), uploadId: UploadId, startedAt: Initiated};
        }
        if (page.IsTruncated !== true) return;
        next = {KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker};
      }
    },

    abandonUpload: ({key, uploadId}) =>
      request(key, async () => {
        try {
          await client.send(new sdk.AbortMultipartUploadCommand({...at(key), UploadId: uploadId}));
        } catch (error) {
          if (statusOf(error) !== 404) throw error; // somebody gave it up already
        }
      }),
  };
  return place;
}

async function makeClient(settings: Settings, timeoutMs: number): Promise<S3Client> {
  const {S3Client: Client} = await import('@aws-sdk/client-s3');
  const {NodeHttpHandler} = await import('@smithy/node-http-handler');
  const {environment} = settings;
  const config = settings.config.storage ?? {};
  const endpoint =
    config.endpoint ?? environment.get('AWS_ENDPOINT_URL_S3') ?? environment.get('AWS_ENDPOINT_URL');
  const region = config.region ?? environment.get('AWS_REGION') ?? environment.get('AWS_DEFAULT_REGION');
  const profile = config.profile ?? environment.get('AWS_PROFILE');
  const accessKeyId = environment.get('AWS_ACCESS_KEY_ID');
  const secretAccessKey = environment.get('AWS_SECRET_ACCESS_KEY');
  const sessionToken = environment.get('AWS_SESSION_TOKEN');
  const {Agent} = await import('node:https');
  const ca = await readAuthority(config.caFile ?? environment.get('AWS_CA_BUNDLE'));
  return new Client({
    ...(endpoint === undefined ? {} : {endpoint}),
    // A server of one's own wants some region in the signature and does not care which.
    ...(region !== undefined ? {region} : endpoint === undefined ? {} : {region: 'us-east-1'}),
    ...(profile === undefined ? {} : {profile}),
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? {credentials: {accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : {sessionToken})}}
      : {}),
    forcePathStyle: config.pathStyle ?? endpoint !== undefined,
    maxAttempts: attempts,
    // Servers that are not Amazon's know other checksums than MD5 badly; every upload is read back instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: Math.min(timeoutMs, 10_000),
      socketTimeout: timeoutMs,
      // A part on a slow line may take long without the socket ever being silent.
      requestTimeout: timeoutMs * 20,
      throwOnRequestTimeout: true,
      httpsAgent: new Agent({keepAlive: true, maxSockets: 64, ...(ca === undefined ? {} : {ca})}),
      httpAgent: {keepAlive: true, maxSockets: 64},
    }),
  });
}

async function readAuthority(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw new AppError(
      'CONFIG_INVALID',
      `The certificate file ${path} cannot be read: ${messageOf(error)}.`,
      {
        hint: 'Check storage.caFile in the config file, or AWS_CA_BUNDLE.',
        cause: error,
      },
    );
  }
}

/** The source cut into buffers of the sizes of its parts; the last may be smaller, none is empty. */
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
