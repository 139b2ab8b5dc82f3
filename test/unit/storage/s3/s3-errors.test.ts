/** Answers of Amazon S3 that the test stores do not give, word for word from its documentation, through the real client. */
import {once} from 'node:events';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {expect, it} from 'vitest';
import {openPlace, requirePlaces} from '../../../../src/lib/storage/open-place.js';
import type {AppError} from '../../../../src/lib/base/errors.js';
import {testContext} from '../../../support/test-context.js';

const xml = (code: string, message: string, more = ''): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>4442587FB7D0A2F9</RequestId></Error>`;

const answers: readonly [number, string, string][] = [
  [400, xml('ExpiredToken', 'The provided token has expired.', '<Token-0>IQoJ</Token-0>'), 'STORAGE_TOKEN_EXPIRED'],
  [301, xml('PermanentRedirect', 'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.', '<Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>b</Bucket>'), 'STORAGE_WRONG_REGION'],
  [400, xml('AuthorizationHeaderMalformed', "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'", '<Region>eu-west-1</Region>'), 'STORAGE_WRONG_REGION'],
  [403, xml('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.', '<RequestTime>20261122T031005Z</RequestTime><ServerTime>2026-11-22T04:10:05Z</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>'), 'STORAGE_CLOCK_SKEW'],
  [403, xml('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.', '<AWSAccessKeyId>AKIA</AWSAccessKeyId>'), 'STORAGE_CREDENTIALS'],
  [403, xml('AccessDenied', 'Access Denied'), 'STORAGE_DENIED'],
  [503, xml('SlowDown', 'Please reduce your request rate.'), 'STORAGE_TIMEOUT'],
  [503, xml('ServiceUnavailable', 'Service is unable to handle request.'), 'STORAGE_TIMEOUT'],
  [503, '<html><body><h1>503 Service Unavailable</h1></body></html>', 'STORAGE_TIMEOUT'],
  [502, '<html><body><h1>502 Bad Gateway</h1></body></html>', 'STORAGE_TIMEOUT'],
  [507, xml('InsufficientStorage', 'There is no room.'), 'STORAGE_FULL'],
]; // prettier-ignore

it.each(answers)(
  'an answer with status %i (%s) is reported as %s, also where it has no body',
  async (status, body, code) => {
    const server = createServer((request, answer) => {
      answer.writeHead(status, {'content-type': 'application/xml'});
      answer.end(request.method === 'HEAD' ? '' : body);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const env = {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'AKIA',
      AWS_SECRET_ACCESS_KEY: 'secret',
    };
    const place = await openPlace(testContext(tmpdir(), {env}).settings, 's3://bucket/shop');
    try {
      for (const work of [
        () => place.status('a'),
        () => place.writeText('a', 'x', null),
        () => place.read('a'),
      ]) {
        const error = (await work().catch((thrown: unknown) => thrown)) as AppError;
        expect(error.code, error.message).toBe(code);
        expect(error.hint).toMatch(/\w/);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);

/** Status, body and headers of Amazon's answers to a request in the wrong region, with or without a body. */
const elsewhere: readonly [string, number, string, Record<string, string>][] = [
  ['a redirect without a body', 301, '', {'x-amz-bucket-region': 'eu-west-1'}],
  ['a redirect', 301, xml('PermanentRedirect', 'Please send all future requests to this endpoint.', '<Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>'), {}],
  ['a signature for another region', 400, xml('AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong; expecting 'eu-west-1'", '<Region>eu-west-1</Region>'), {}],
]; // prettier-ignore

it.each(elsewhere)('reports the region in %s', async (_what, status, body, headers) => {
  const server = createServer((_request, answer) => {
    answer.writeHead(status, {'content-type': 'application/xml', ...headers});
    answer.end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const env = {AWS_ENDPOINT_URL_S3: endpoint, AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'secret'};
  try {
    await expect(requirePlaces(testContext(tmpdir(), {env}), ['s3://bucket/shop'])).rejects.toMatchObject({
      code: 'STORAGE_WRONG_REGION',
      message: expect.stringContaining(
        's3://bucket/shop: the store keeps this bucket in the region eu-west-1',
      ) as string,
      hint: 'Set AWS_REGION, or storage.region in the config file, to eu-west-1.',
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

it.each(['localhost:9000', 'minio:9000', 's3.example.com', 'http://'])(
  'an endpoint "%s" in the environment is named before anything is asked',
  async (endpoint) => {
    const {settings} = testContext(tmpdir(), {env: {AWS_ENDPOINT_URL_S3: endpoint}});
    await expect(openPlace(settings, 's3://bucket/shop')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `AWS_ENDPOINT_URL_S3 is "${endpoint}", which is not the URL of a server.`,
    });
  },
);
