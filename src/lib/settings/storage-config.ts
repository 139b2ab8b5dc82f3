/** The config sections about places off this machine and about encryption. */
import {z} from 'zod';
import {placeProblem} from '../base/place-name.js';

export const storageConfig = z
  .strictObject({
    places: z
      .array(
        z
          .string()
          .min(1)
          .refine((name) => placeProblem(name) === undefined, {
            error: ({input}) => placeProblem(String(input)),
          }),
      )
      .optional()
      .describe('Where every finished backup is copied to: "s3://bucket/prefix", or a folder.'),
    endpoint: z
      .url({protocol: /^https?$/})
      .optional()
      .describe('URL of the S3 server; without it Amazon S3. AWS_ENDPOINT_URL_S3 does the same.'),
    region: z.string().min(1).optional().describe('Region of the bucket; AWS_REGION does the same.'),
    profile: z
      .string()
      .min(1)
      .optional()
      .describe('Profile of the AWS credentials files; AWS_PROFILE does the same.'),
    pathStyle: z
      .boolean()
      .optional()
      .describe('Whether the bucket is part of the path and not of the host name; true with an endpoint.'),
    caFile: z.string().min(1).optional().describe('Certificate authority of the S3 server (PEM).'),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .optional()
      .describe('How long a silent server is waited for, each of three times (default 30).'),
    storageClass: z
      .string()
      .min(1)
      .optional()
      .describe('Storage class of the files ("STANDARD_IA"); metadata stays in the standard class.'),
    encryption: z
      .enum(['AES256', 'aws:kms'])
      .optional()
      .describe('Encryption by the server, which then holds the key.'),
    kmsKeyId: z.string().min(1).optional().describe('Key of the server for "aws:kms".'),
    lockMode: z
      .enum(['GOVERNANCE', 'COMPLIANCE'])
      .optional()
      .describe(
        'Object lock of everything that is written, for lockDays days; the bucket must have been made with it.',
      ),
    lockDays: z
      .int()
      .min(1)
      .optional()
      .describe('How many days nobody can delete what was written; named together with lockMode.'),
  })
  // One alone would lock nothing, or for a day only, and nobody would notice.
  .refine(({lockMode, lockDays}) => (lockMode === undefined) === (lockDays === undefined), {
    error: 'lockMode and lockDays go together',
  });

export const encryptionConfig = z.strictObject({
  recipients: z
    .array(z.string().min(1))
    .optional()
    .describe(
      'Public keys ("age1...") that every backup is encrypted to; two, kept apart, are safer than one.',
    ),
  local: z
    .boolean()
    .optional()
    .describe(
      'False leaves what is in the backups folder plain and encrypts the copies alone (default true).',
    ),
  require: z
    .boolean()
    .optional()
    .describe('Refuse to write a backup without a key to encrypt it with (default false).'),
  identityFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File with the secret keys (as age-keygen writes it) that open encrypted backups; tried on every new one.',
    ),
  passphraseFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File whose first line is a passphrase: it opens backups, and without recipients every backup is encrypted with it.',
    ),
});
