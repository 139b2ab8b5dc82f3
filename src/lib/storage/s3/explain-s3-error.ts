/** Translates an error of an object store into an `AppError`. */
import {z} from 'zod';
import {AppError, type ErrorCode, messageOf, systemErrorCode} from '../../base/errors.js';

interface Meaning {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
}

const keys =
  'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (environment, .env.local) or the AWS profile.';

const credentials: Meaning = {
  code: 'STORAGE_CREDENTIALS',
  what: 'refused the credentials',
  hint: keys,
};
const noCredentials: Meaning = {
  code: 'STORAGE_CREDENTIALS',
  what: 'was not asked: no credentials were found',
  hint: `${keys} On a cloud machine, give it a role.`,
};
const denied: Meaning = {
  code: 'STORAGE_DENIED',
  what: 'denied the request',
  hint: 'Backups need s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject and s3:AbortMultipartUpload on this bucket and prefix; prune and recover also s3:ListBucketVersions, s3:DeleteObject and s3:DeleteObjectVersion (policies: docs/s3-and-encryption.md). Temporary credentials may also have expired, which some stores report in the same way.',
};
const expired: Meaning = {
  code: 'STORAGE_TOKEN_EXPIRED',
  what: 'says that the session token has expired',
  hint: 'Get new temporary credentials (aws sso login, or the role again) and run again.',
};
const region: Meaning = {
  code: 'STORAGE_WRONG_REGION',
  what: 'keeps this bucket in another region',
  hint: 'Set AWS_REGION, or storage.region in the config file, to the region of the bucket.',
};
/** The same, where the answer names the region. */
const regionNamed = (name: string): Meaning => ({
  code: region.code,
  what: `keeps this bucket in the region ${name}`,
  hint: `Set AWS_REGION, or storage.region in the config file, to ${name}.`,
});
const noRegion: Meaning = {
  code: 'STORAGE_WRONG_REGION',
  what: 'was not asked: no region is known',
  hint: 'Set AWS_REGION, or storage.region in the config file, to the region of the bucket; for a server of your own, storage.endpoint.',
};
const skew: Meaning = {
  code: 'STORAGE_CLOCK_SKEW',
  what: "says that this machine's clock is wrong",
  hint: 'Set the clock (timedatectl set-ntp true) and run again.',
};
const full: Meaning = {
  code: 'STORAGE_FULL',
  what: 'reached a quota',
  hint: 'Raise the quota, or remove old backups there: destino-db prune --from s3://BUCKET/PREFIX.',
};
const slow: Meaning = {
  code: 'STORAGE_TIMEOUT',
  what: 'did not answer in time',
  hint: 'Run again later; storage.timeoutSeconds in the config file is the limit.',
};
const unreachable: Meaning = {
  code: 'STORAGE_UNREACHABLE',
  what: 'cannot be reached',
  hint: 'Check the endpoint (storage.endpoint or AWS_ENDPOINT_URL_S3; https or http), the network, and storage.caFile for a private certificate authority.',
};
const conflict: Meaning = {
  code: 'STORAGE_CONFLICT',
  what: 'already has another object there: another run wrote it meanwhile',
  hint: 'List the backups there (destino-db list --from s3://BUCKET/PREFIX) and run again.',
};

/** Error names of the S3 API reference, and those of the SDK and of Node.js. */
const meanings: Readonly<Record<string, Meaning>> = {
  InvalidAccessKeyId: credentials,
  SignatureDoesNotMatch: credentials,
  InvalidToken: credentials,
  CredentialsProviderError: noCredentials,
  ProviderError: noCredentials,
  AccessDenied: denied,
  AllAccessDisabled: denied,
  AccountProblem: denied,
  ExpiredToken: expired,
  ExpiredTokenException: expired,
  PermanentRedirect: region,
  TemporaryRedirect: region,
  AuthorizationHeaderMalformed: region,
  IllegalLocationConstraintException: region,
  RequestTimeTooSkewed: skew,
  RequestExpired: skew,
  QuotaExceeded: full,
  InsufficientStorage: full,
  TimeoutError: slow,
  RequestTimeout: slow,
  SlowDown: slow,
  ServiceUnavailable: slow,
  ETIMEDOUT: slow,
  ECONNREFUSED: unreachable,
  ECONNRESET: unreachable,
  EPIPE: unreachable,
  EPROTO: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  ENOTFOUND: unreachable,
  EAI_AGAIN: unreachable,
  PreconditionFailed: conflict,
  ConditionalRequestConflict: conflict,
};

/** Statuses of answers without a body (HEAD), or with the body of a proxy. */
const byStatus: Readonly<Record<number, Meaning>> = {
  301: region,
  307: region,
  403: denied,
  412: conflict,
  429: slow,
  502: slow,
  503: slow,
  504: slow,
  507: full,
};

/** @param what the location or object of the request */
export function explainS3Error(error: unknown, what: string): AppError {
  if (error instanceof AppError) return error;
  const name = error instanceof Error ? error.name : '';
  // The SDK's errors reference the complete request and connection.
  const cause = new Error(`${name}: ${messageOf(error)}`);
  if (name === 'NoSuchBucket') {
    return new AppError('STORAGE_BUCKET_NOT_FOUND', `${what}: the bucket does not exist.`, {
      hint: 'Check the name and the endpoint; destino-db does not create buckets.',
      cause,
    });
  }
  if (name === 'NoSuchKey' || name === 'NotFound') {
    return new AppError('BACKUP_INCOMPLETE', `${what} is missing.`, {
      hint: 'The backup there is incomplete: use another one, or copy it again.',
      cause,
    });
  }
  const byCode = meanings[systemErrorCode(error) ?? ''];
  // The SDK also reports a broken connection as a time-out.
  const found =
    (name === 'TimeoutError' ? byCode : undefined) ??
    meanings[name] ??
    byCode ??
    (messageOf(error) === 'Region is missing' ? noRegion : undefined) ??
    certificate(error) ??
    byStatus[statusOf(error) ?? 0];
  const right = found === region ? regionIn(error) : undefined;
  const meaning = right === undefined ? found : regionNamed(right);
  if (!meaning) {
    return new AppError('STORAGE_FAILED', `${what}: the store answered "${name}: ${messageOf(error)}".`, {
      cause,
    });
  }
  return new AppError(meaning.code, `${what}: the store ${meaning.what} (${wordOf(error, name)}).`, {
    hint: meaning.hint,
    cause,
  });
}

/** The problem in one word; for connections Node's code, because "Error" is not informative. */
function wordOf(error: unknown, name: string): string {
  const isGeneral = ['', 'Error', 'TimeoutError'].includes(name);
  return (
    (isGeneral ? systemErrorCode(error) : undefined) ??
    (name === '' || name === 'Error' ? messageOf(error) : name)
  );
}

function certificate(error: unknown): Meaning | undefined {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(systemErrorCode(error) ?? '') ? unreachable : undefined;
}

/** The region in Amazon's answers: in a header of every such answer, in <Region>, and in the host name of <Endpoint>. */
const answer = z.object({
  Region: z.string().optional().catch(undefined),
  Endpoint: z.string().optional().catch(undefined),
  $response: z
    .object({headers: z.object({'x-amz-bucket-region': z.string().optional()})})
    .optional()
    .catch(undefined),
});

/** The bucket's region according to the answer. */
function regionIn(error: unknown): string | undefined {
  const {data} = answer.safeParse(error);
  const named =
    data?.$response?.headers['x-amz-bucket-region'] ??
    data?.Region ??
    /\bs3[.-]([a-z0-9-]+)\.amazonaws\.com/.exec(data?.Endpoint ?? '')?.[1];
  return /^[a-z0-9-]+$/.test(named ?? '') ? named : undefined;
}

/** The HTTP status of an SDK error, if it has one. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata: unknown = error.$metadata;
  const isTold = typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata;
  return isTold && typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
