import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {resolveConnection} from '../../../../src/lib/postgres/connect/resolve-connection.js';
import {parseServiceFile, readService} from '../../../../src/lib/postgres/connect/service-file.js';
import {environmentOf} from '../../../../src/lib/settings/environment.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
  await writeFile(
    join(folder, '.pg_service.conf'),
    '# services\n[shop]\nhost = db.example\nport=5433\ndbname=shop\nuser=keeper\npassword=a=b\nsslmode=require\n\n[empty]\n',
  );
});
afterAll(() => rm(folder, {recursive: true}));

const environment = (values: Record<string, string>) =>
  environmentOf([{origin: 'environment', values: {HOME: folder, ...values}}]);

it('reads services, their values with "=" in them included', () => {
  expect(parseServiceFile('x=1\n[a]\r\nhost=h\r\n#user=u\n[b]\npassword= p=q \n')).toEqual(
    new Map([
      ['a', {host: 'h'}],
      ['b', {password: 'p=q'}],
    ]),
  );
});

it('prefers a service over the variables', () => {
  const {settings} = testContext('/', {
    settings: {environment: environment({PGSERVICE: 'shop', PGHOST: 'other', PGSSLCERT: '/c'})},
  });
  expect(resolveConnection(settings)).toMatchObject({
    host: 'db.example',
    port: 5433,
    user: 'keeper',
    database: 'shop',
    password: 'a=b',
    options: {sslmode: 'require', sslcert: '/c'},
    origin: 'PGSERVICE=shop',
  });
});

it('reports an unknown service with the files that were read, and reads no file without a service', () => {
  expect(() => readService(environment({PGSERVICE: 'nope', PGSYSCONFDIR: '/nowhere'}))).toThrow(
    `${folder}/.pg_service.conf, /nowhere/pg_service.conf`,
  );
  expect(readService(environment({}))).toEqual({});
});
