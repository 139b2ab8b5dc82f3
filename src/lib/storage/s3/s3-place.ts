/** An S3-compatible bucket as a location for backups. */
import {randomBytes} from 'node:crypto';
import {Readable} from 'node:stream';
import {text as contentOf} from 'node:stream/consumers';
import type {PutObjectCommandInput} from '@aws-sdk/client-s3';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {parseBucketUrl} from '../../base/place-name.js';
import {quoted} from '../../base/shell-quote.js';
import type {Settings} from '../../settings/settings.js';
import {explainS3Error, statusOf} from './explain-s3-error.js';
import type {ObjectStatus, Place} from '../place.js';
import {findPlaced, lockOf, readPlace, removePlaced} from '../place-catalogue.js';
import {openKnownTexts} from './known-texts.js';
import {endpointOf, makeClient} from './s3-client.js';
import {upload} from './s3-upload.js';
import {quickReader} from './s3-read.js';
import {type OpenedObject, steadyRead} from './steady-read.js';

const defaultTimeoutSeconds = 30;

/**
 * Makes no request yet.
 * @param name "s3://bucket/prefix"
 * @throws CONFIG_INVALID for a certificate file that cannot be read, STORAGE_WRONG_REGION if no region is known
 */
export async function s3Place(settings: Settings, name: string): Promise<Place> {
  const {bucket, prefix} = parseBucketUrl(name) ?? {bucket: '', prefix: ''};
  const folder = prefix === '' ? '' : `${prefix}/`;
  const sdk = await import('@aws-sdk/client-s3');
  const config = settings.config.storage ?? {};
  const timeoutMs = (config.timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
  const client = await makeClient(settings, timeoutMs);
  const base = `s3://${bucket}/`;
  // Loaded now, so that a problem appears before a dump is made.
  await client.config.region().catch((error: unknown) => {
    throw explainS3Error(error, base + prefix);
  });
  const at = (key: string): {Bucket: string; Key: string} => ({Bucket: bucket, Key: folder + key});

  async function request<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explainS3Error(error, key === '' ? place.url : base + folder + key);
    }
  }

  /** Properties of new objects; computed at each write, because the lock's date depends on it. */
  function properties(): Partial<PutObjectCommandInput> {
    const {lockMode, lockDays = 1} = config;
    return {
      ...(config.encryption ? {ServerSideEncryption: config.encryption} : {}),
      ...(config.kmsKeyId === undefined ? {} : {SSEKMSKeyId: config.kmsKeyId}),
      ...(lockMode
        ? {
            ObjectLockMode: lockMode,
            ObjectLockRetainUntilDate: new Date(Date.now() + lockDays * 86_400_000),
            // A write with a lock requires a checksum (S3 API reference, PutObject).
            ChecksumAlgorithm: 'CRC32',
          }
        : {}),
    };
  }
  const storageClass =
    config.storageClass === undefined ? {} : {StorageClass: config.storageClass as 'STANDARD'};

  let quick: ReturnType<typeof quickReader> | undefined;
  let locking: Promise<void> | undefined;
  /**
   * Checks once that the bucket supports locks. In buckets without lock support, Ceph rejects a lock for short objects only: multipart
   * uploads would silently be written without it.
   */
  function requireLocking(): Promise<void> {
    if (config.lockMode === undefined) return Promise.resolve();
    locking ??= (async () => {
      try {
        await client.send(new sdk.GetObjectLockConfigurationCommand({Bucket: bucket}));
      } catch (error) {
        if (statusOf(error) !== 404 || (error instanceof Error && error.name === 'NoSuchBucket')) throw error;
        throw new AppError(
          'NOT_SUPPORTED_HERE',
          `The bucket ${bucket} has no object lock, which storage.lockMode requires. Nothing was written.`,
          {
            hint: 'Copy to a bucket created with object lock, or remove storage.lockMode from the config file.',
          },
        );
      }
    })();
    return locking;
  }

  /** The answer to HEAD has no body with the reason for a refusal; the answer to GET has. */
  async function withReason(error: unknown, key: string): Promise<unknown> {
    if (statusOf(error) === undefined) return error;
    try {
      const answer = await client.send(new sdk.GetObjectCommand({...at(key), Range: 'bytes=0-0'}));
      if (answer.Body instanceof Readable) answer.Body.destroy();
      return error;
    } catch (detailed) {
      return detailed;
    }
  }

  /** If the list privilege is limited to the prefix, stores deny access to a missing key instead of reporting it; a list shows that it is missing. */
  async function isMissing(key: string): Promise<boolean> {
    try {
      const Prefix = folder + key;
      const answer = await client.send(new sdk.ListObjectsV2Command({Bucket: bucket, Prefix, MaxKeys: 1}));
      return answer.Contents?.[0]?.Key !== Prefix;
    } catch {
      return false;
    }
  }

  const place: Place = {
    url: base + prefix,
    isOnThisMachine: false,
    isShared: true,
    readCommand: (key) => `aws s3 cp ${quoted(`${place.url}/${key}`)} -`,
    journalEntry: (key) => ({kind: 'upload', place: place.url, key, uploadId: ''}),
    catalogue: (signal) => readPlace(place, signal),
    find: async (name, _cwd, signal) => findPlaced(place, (await readPlace(place, signal)).backups, name),
    whyKept: async (backup, reason, now) => {
      const until = await lockOf(place, backup, now);
      return until ? `locked until ${until.toISOString()} (would be removed: ${reason})` : undefined;
    },
    removeBackup: (backup) => removePlaced(place, backup),
    stagingFolder: (id) => `data/${id}.${randomBytes(6).toString('hex')}/`,

    async *list(below, isDeep, signal) {
      const pages = sdk.paginateListObjectsV2(
        {client},
        {Bucket: bucket, Prefix: folder + below, ...(isDeep ? {} : {Delimiter: '/'})},
        signal === undefined ? {} : {abortSignal: signal},
      );
      const iterator = pages[Symbol.asyncIterator]();
      for (;;) {
        signal?.throwIfAborted();
        const page = await request('', () => iterator.next()).catch((error: unknown) => {
          signal?.throwIfAborted();
          throw error;
        });
        if (page.done === true) return;
        for (const {Key = '', Size = 0, LastModified = new Date(0), ETag: tag} of page.value.Contents ?? []) {
          yield {
            key: Key.slice(folder.length),
            sizeBytes: Size,
            modifiedAt: LastModified,
            ...(tag === undefined ? {} : {tag}),
          };
        }
      }
    },

    async read(key, signal, range) {
      const start = range?.start ?? 0;
      const open = (skipped: number, tag?: string): Promise<OpenedObject> =>
        request(key, async () => {
          const isPart = range !== undefined || skipped > 0;
          const command = new sdk.GetObjectCommand({
            ...at(key),
            ...(isPart ? {Range: `bytes=${start + skipped}-${range?.end ?? ''}`} : {}),
            ...(tag === undefined ? {} : {IfMatch: tag}),
          });
          const answer = await client
            .send(command, signal === undefined ? {} : {abortSignal: signal})
            .catch(async (error: unknown) => {
              const isGone = statusOf(error) === 403 && (await isMissing(key));
              throw isGone ? new sdk.NoSuchKey({message: 'not listed', $metadata: {}}) : error;
            });
          const {Body: body, ETag, ContentLength: sizeBytes} = answer;
          if (!(body instanceof Readable)) {
            throw new AppError('STORAGE_FAILED', `${base}${folder}${key}: the store sent no content.`);
          }
          return {body, tag: ETag?.replaceAll('"', ''), sizeBytes};
        });
      const explain = (error: unknown): AppError => explainS3Error(error, base + folder + key);
      return Readable.from(steadyRead(await open(0), open, defined({timeoutMs, explain, signal})), {
        objectMode: false,
      });
    },

    knownTexts: () => openKnownTexts(settings.environment, [endpointOf(settings) ?? '', base + prefix]),

    async readText(key) {
      quick ??= quickReader(client, bucket, timeoutMs);
      const text = await (await quick)(folder + key);
      return text ?? contentOf(await place.read(key));
    },

    async write(key, source, options = {}) {
      await request(key, async () => {
        await requireLocking();
        const {Bucket, Key} = at(key);
        await upload({client, Bucket, Key, properties: {...properties(), ...storageClass}}, source, options);
      });
    },

    async writeText(key, text, replaces) {
      await request(key, async () => {
        await requireLocking();
        const put = async (condition: {IfNoneMatch?: string; IfMatch?: string}): Promise<void> => {
          const object = {...at(key), Body: Buffer.from(text), ContentType: 'application/json'};
          await client.send(new sdk.PutObjectCommand({...object, ...properties(), ...condition}));
        };
        try {
          await put(replaces === null ? {IfNoneMatch: '*'} : {IfMatch: replaces});
        } catch (error) {
          // The SDK retries when an answer is lost, and the conflicting object may be the one that it wrote itself.
          if (statusOf(error) !== 412) throw error;
          const {Body, ETag, VersionId} = await client.send(new sdk.GetObjectCommand(at(key)));
          if ((await Body?.transformToString()) === text) return;
          // In versioned buckets, Ceph compares with the new version, which does not exist yet, so it always refuses.
          const isVersioned = VersionId !== undefined && VersionId !== 'null';
          if (!isVersioned || replaces === null || ETag?.replaceAll('"', '') !== replaces) throw error;
          await put({});
        }
      });
    },

    async checkWritable() {
      // An upload that is started and aborted leaves nothing behind, and requires the write permission.
      const {Bucket, Key} = at('data/write-check');
      await request('', async () => {
        await requireLocking();
        const upload = {Bucket, Key, ...properties(), ...storageClass};
        const {UploadId} = await client.send(new sdk.CreateMultipartUploadCommand(upload));
        await client.send(new sdk.AbortMultipartUploadCommand({Bucket, Key, UploadId}));
      });
    },

    status: (key) =>
      request(key, async (): Promise<ObjectStatus | undefined> => {
        try {
          const head = await client.send(new sdk.HeadObjectCommand(at(key)));
          return {
            sizeBytes: head.ContentLength ?? 0,
            // Without the header's quotes: Ceph compares conditions with the bare text, other stores accept both.
            tag: (head.ETag ?? '').replaceAll('"', ''),
            lockedUntil: head.ObjectLockRetainUntilDate ?? null,
          };
        } catch (error) {
          const status = statusOf(error);
          if (status === 404 || (status === 403 && (await isMissing(key)))) return undefined;
          throw await withReason(error, key);
        }
      }),

    async remove(key) {
      if (key.endsWith('/')) return; // a folder disappears with its last object
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
      let next: {KeyMarker?: string; UploadIdMarker?: string} = {};
      for (;;) {
        const from = next;
        const page = await request('', () =>
          client.send(new sdk.ListMultipartUploadsCommand({Bucket: bucket, Prefix: folder, ...from})),
        );
        for (const {Key = '', UploadId = '', Initiated = new Date(0)} of page.Uploads ?? []) {
          yield {key: Key.slice(folder.length), uploadId: UploadId, startedAt: Initiated};
        }
        if (page.IsTruncated !== true) return;
        next = defined({KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker});
      }
    },

    abandonUpload: ({key, uploadId}) =>
      request(key, async () => {
        try {
          await client.send(new sdk.AbortMultipartUploadCommand({...at(key), UploadId: uploadId}));
        } catch (error) {
          if (statusOf(error) !== 404) throw error; // it was already aborted
        }
      }),
  };
  return place;
}
