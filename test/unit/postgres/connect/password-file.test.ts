import {chmod, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {parseConnectionUrl} from '../../../../src/lib/postgres/connect/connection-url.js';
import {
  findPassword,
  lookUpPassword,
  passwordLine,
} from '../../../../src/lib/postgres/connect/password-file.js';
import {tempFolder} from '../../../support/run-cli.js';

const connection = parseConnectionUrl('postgresql://u@h:5432/d', 'test');

it.each([
  ['h:5432:d:u:secret', 'secret'],
  ['*:*:*:*:secret', 'secret'],
  ['# h:5432:d:u:no\nx:5432:d:u:no\nh:5432:d:u:yes\nh:5432:d:u:later', 'yes'],
  ['h:5432:d:u:a\\:b\\\\c', 'a:b\\c'],
  ['h:5432:d:u:', undefined],
  ['h:5433:d:u:no', undefined],
  ['h:5432:d:u', undefined],
  // The first line that fits decides, and an asterisk is a wildcard only if it is the whole field.
  ['h:5432:d:u:\nh:5432:d:u:later', undefined],
  ['\\*:5432:d:u:no\n*h:5432:d:u:no\nh:*:d:u:yes', 'yes'],
  ['h:5432:d:u:secret:of the fifth field alone', 'secret'],
  ['h:5432:d:u:secret\r\n', 'secret'],
  [' h:5432:d:u:no', undefined],
  ['', undefined],
])('in %j the password is %j', (text, password) => {
  expect(findPassword(text, connection)).toBe(password);
});

it('looks up a socket in a default folder as localhost, others by their name', () => {
  const socket = (folder: string) => parseConnectionUrl(`postgresql://u@/d?host=${folder}`, 'test');
  expect(findPassword('localhost:5432:d:u:secret', socket('/var/run/postgresql'))).toBe('secret');
  expect(findPassword('localhost:5432:d:u:secret', socket('/srv/sockets'))).toBeUndefined();
  expect(findPassword('/srv/sockets:5432:d:u:secret', socket('/srv/sockets'))).toBe('secret');
});

it('writes a line that it can read', () => {
  const odd = parseConnectionUrl('postgresql://a%3Ab@[::1]:6000/c%5Cd', 'test');
  expect(passwordLine(odd)).toBe('\\:\\:1:6000:c\\\\d:a\\:b:PASSWORD');
  expect(findPassword(passwordLine(odd), odd)).toBe('PASSWORD');
});

it('says why a file has no password for the connection', async () => {
  const folder = await tempFolder();
  const file = join(folder, 'passwords');
  await writeFile(file, 'h:5432:d:u:secret\n', {mode: 0o600});
  const lookUp = () => lookUpPassword({...connection, options: {passfile: file}});
  expect(await lookUp()).toEqual({file, password: 'secret'});
  await chmod(file, 0o640);
  expect((await lookUp()).problem).toBe(`is ignored, because other users can access it (chmod 600 ${file})`);
  await rm(folder, {recursive: true});
  expect((await lookUp()).problem).toBe('does not exist');
  expect((await lookUpPassword({...connection, options: {passfile: '/'}})).problem).toBe(
    'is not a regular file',
  );
});
