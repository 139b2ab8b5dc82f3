/** The config sections about locations off this machine and about encryption. */
import {z} from 'zod';
import {placeProblem} from '../base/place-name.js';

export const placesConfig = z.array(
  z
    .string()
    .min(1)
    .refine((name) => placeProblem(name) === undefined, {
      error: ({input}) => placeProblem(String(input)),
    }),
);

export const storageConfig = z
  .strictObject({
    places: placesConfig
      .exactOptional()
      .describe('Locations that every finished backup is copied to: "s3://bucket/prefix", or a folder.'),
    endpoint: z
      .url({protocol: /^https?$/})
      .exactOptional()
      .describe('URL of the S3 server (default: Amazon S3). Same as AWS_ENDPOINT_URL_S3.'),
    region: z.string().min(1).exactOptional().describe('Region of the bucket. Same as AWS_REGION.'),
    profile: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Profile in the AWS credentials files. Same as AWS_PROFILE.'),
    pathStyle: z
      .boolean()
      .exactOptional()
      .describe('Put the bucket into the path instead of the host name (default: true with an endpoint).'),
    caFile: z.string().min(1).exactOptional().describe('Certificate authority of the S3 server (PEM).'),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .exactOptional()
      .describe(
        'Timeout of a request to a server that does not answer; it is tried three times (default 30).',
      ),
    storageClass: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Storage class of the files, such as "STANDARD_IA"; metadata stays in the standard class.'),
    encryption: z
      .enum(['AES256', 'aws:kms'])
      .exactOptional()
      .describe('Encryption by the server, with a key that the server has.'),
    kmsKeyId: z.string().min(1).exactOptional().describe('Id of the key on the server for "aws:kms".'),
    lockMode: z
      .enum(['GOVERNANCE', 'COMPLIANCE'])
      .exactOptional()
      .describe(
        'Object lock mode of everything that is written, for lockDays days; needs a bucket with object lock enabled.',
      ),
    lockDays: z
      .int()
      .min(1)
      .exactOptional()
      .describe('Number of days for which written files cannot be deleted; required with lockMode.'),
  })
  // One without the other would lock nothing, or for a day only.
  .refine(({lockMode, lockDays}) => (lockMode === undefined) === (lockDays === undefined), {
    error: 'lockMode and lockDays go together',
  });

export const encryptionConfig = z.strictObject({
  recipients: z
    .array(z.string().min(1))
    .exactOptional()
    .describe('Public keys ("age1...") that every backup is encrypted to; use two that are stored apart.'),
  local: z
    .boolean()
    .exactOptional()
    .describe('Encrypt backups in the backups folder too; false encrypts the copies only (default true).'),
  require: z.boolean().exactOptional().describe('Refuse to write unencrypted backups (default false).'),
  identityFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe(
      'File with the secret keys (as age-keygen writes it) that decrypt backups; every new backup is tried with them.',
    ),
  passphraseFile: z
    .string()
    .min(1)
    .exactOptional()
    .describe(
      'File whose first line is the passphrase that decrypts backups. Without recipients, backups are encrypted with it.',
    ),
});
