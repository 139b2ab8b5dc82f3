import {chmod, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {parseConnectionUrl} from '../../../src/lib/postgres/connection-url.js';
import {findPassword, passwordFromFile} from '../../../src/lib/postgres/password-file.js';
import {tempFolder} from '../../support/run-cli.js';

const connection = parseConnectionUrl('postgresql://u@h:5432/d', 'test');

it.each([
  ['h:5432:d:u:secret', 'secret'],
  ['*:*:*:*:secret', 'secret'],
  ['# h:5432:d:u:no\nx:5432:d:u:no\nh:5432:d:u:yes\nh:5432:d:u:later', 'yes'],
  ['h:5432:d:u:a\\:b\\\\c', 'a:b\\c'],
  ['h:5432:d:u:', undefined],
  ['h:5433:d:u:no', undefined],
  ['h:5432:d:u', undefined],
  ['', undefined],
])('in %j the password is %j', (text, password) => {
  expect(findPassword(text, connection)).toBe(password);
});

it('a socket is looked up by its folder or as localhost', () => {
  const socket = parseConnectionUrl('postgresql://u@/d?host=/run', 'test');
  expect(findPassword('localhost:5432:d:u:secret', socket)).toBe('secret');
  expect(findPassword('/run:5432:d:u:secret', socket)).toBe('secret');
});

it('reads the file that passfile names, unless others can read it too', async () => {
  const folder = await tempFolder();
  const file = join(folder, 'passwords');
  await writeFile(file, 'h:5432:d:u:secret\n', {mode: 0o600});
  const withFile = {...connection, options: {passfile: file}};
  expect(await passwordFromFile(withFile)).toBe('secret');
  await chmod(file, 0o640);
  expect(await passwordFromFile(withFile)).toBeUndefined();
  await rm(folder, {recursive: true});
  expect(await passwordFromFile(withFile)).toBeUndefined();
  expect(await passwordFromFile(connection)).toBeUndefined();
});
