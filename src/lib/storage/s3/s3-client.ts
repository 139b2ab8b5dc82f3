/** The client of the AWS SDK, built from settings: endpoint, region, credentials, certificate, time-outs. */
import {X509Certificate} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import type {S3Client} from '@aws-sdk/client-s3';
import {AppError, messageOf} from '../../base/errors.js';
import type {Settings} from '../../settings/settings.js';

const attempts = 3;

/**
 * Credentials come from AWS_* variables (environment, .env files), else from the SDK's chain: profile, container, machine role.
 * Makes no request yet.
 * @throws CONFIG_INVALID for a certificate file that cannot be read
 */
export async function makeClient(settings: Settings, timeoutMs: number): Promise<S3Client> {
  const {S3Client: Client} = await import('@aws-sdk/client-s3');
  const {NodeHttpHandler} = await import('@smithy/node-http-handler');
  const {environment} = settings;
  const config = settings.config.storage ?? {};
  const endpoint = endpointOf(settings);
  const region = config.region ?? environment.get('AWS_REGION') ?? environment.get('AWS_DEFAULT_REGION');
  const profile = config.profile ?? environment.get('AWS_PROFILE');
  const accessKeyId = environment.get('AWS_ACCESS_KEY_ID');
  const secretAccessKey = environment.get('AWS_SECRET_ACCESS_KEY');
  const sessionToken = environment.get('AWS_SESSION_TOKEN');
  const {Agent} = await import('node:https');
  const ca = await readAuthority(settings.cwd, config.caFile ?? environment.get('AWS_CA_BUNDLE'));
  return new Client({
    ...(endpoint === undefined ? {} : {endpoint}),
    // Servers other than Amazon's accept any region in the signature.
    ...(region !== undefined ? {region} : endpoint === undefined ? {} : {region: 'us-east-1'}),
    ...(profile === undefined ? {} : {profile}),
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? {credentials: {accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : {sessionToken})}}
      : {}),
    forcePathStyle: config.pathStyle ?? endpoint !== undefined,
    maxAttempts: attempts,
    // With a wrong clock, backups get wrong names and dates, and recent files look old: fail instead of copying.
    disableClockSkewCorrection: true,
    // Servers other than Amazon's support few checksums besides MD5; every upload is read back instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: Math.min(timeoutMs, 10_000),
      socketTimeout: timeoutMs,
      // A part on a slow line may take long while the socket is active.
      requestTimeout: timeoutMs * 20,
      throwOnRequestTimeout: true,
      httpsAgent: new Agent({keepAlive: true, maxSockets: 64, ...(ca === undefined ? {} : {ca})}),
      httpAgent: {keepAlive: true, maxSockets: 64},
    }),
  });
}

/** URL of a server other than Amazon's. @throws CONFIG_INVALID for a variable without a valid URL */
export function endpointOf({config, environment}: Settings): string | undefined {
  if (config.storage?.endpoint !== undefined) return config.storage.endpoint;
  const name = ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'].find((variable) => environment.get(variable));
  const endpoint = name === undefined ? undefined : environment.get(name);
  if (name === undefined || endpoint === undefined || /^https?:\/\/[^/]/i.test(endpoint)) return endpoint;
  throw new AppError('CONFIG_INVALID', `${name} is "${endpoint}", which is not the URL of a server.`, {
    hint: 'Write it with its scheme: https://s3.example.com, or http://localhost:9000.',
  });
}

async function readAuthority(cwd: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    const pem = await readFile(resolve(cwd, path));
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new AppError('CONFIG_INVALID', `Cannot use the certificate file ${path}: ${messageOf(error)}.`, {
      hint: 'Check storage.caFile in the config file, or AWS_CA_BUNDLE: it should contain certificates in PEM form.',
      cause: error,
    });
  }
}
