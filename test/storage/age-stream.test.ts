/** The age format, with Debian's age as the other side: each reads the output of the other, and damage is found. */
import {execFileSync, spawnSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {checkRecipients, type OpeningKeys, readOpeningKeys} from '../../src/lib/encryption/age-keys.js';
import {decryptStream, encryptStream} from '../../src/lib/encryption/age-stream.js';
import {makeKey} from '../support/age.js';
import {tempFolder} from '../support/run-cli.js';

let folder: string;
let keyFile: string;
let recipient: string;
let keys: OpeningKeys;

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

beforeAll(async () => {
  folder = await tempFolder();
  keyFile = join(folder, 'key.txt');
  recipient = makeKey(keyFile);
  keys = await readOpeningKeys(folder, {identityFile: keyFile});
});
afterAll(() => rm(folder, {recursive: true}));

describe.each([0, 1, 65_535, 65_536, 65_537, 131_072, 300_001])('a file of %i bytes', (size) => {
  it('encrypted here is opened by age', async () => {
    const bytes = randomBytes(size);
    const path = join(folder, `ours-${size}.age`);
    await writeFile(path, await collect(encryptStream(pieces(bytes, 10_007), {recipients: [recipient]})));
    const opened = execFileSync('age', ['-d', '-i', keyFile, path], {maxBuffer: 2 ** 24});
    expect(opened.equals(bytes)).toBe(true);
  });

  it('encrypted by age is opened here', async () => {
    const bytes = randomBytes(size);
    const path = join(folder, `theirs-${size}.age`);
    execFileSync('age', ['-r', recipient, '-o', path], {input: bytes});
    const opened = await collect(decryptStream(createReadStream(path, {highWaterMark: 777}), keys));
    expect(opened.equals(bytes)).toBe(true);
  });
});

it('is opened by either key of two recipients, and by no other', async () => {
  const paths = ['one.txt', 'two.txt', 'three.txt'].map((name) => join(folder, name));
  const [one = '', two = ''] = paths.map(makeKey);
  const sealed = await collect(encryptStream(pieces(Buffer.from('secret'), 6), {recipients: [one, two]}));
  await writeFile(join(folder, 'two.age'), sealed);
  const statuses = paths.map((path) => spawnSync('age', ['-d', '-i', path, join(folder, 'two.age')]).status);
  expect(statuses).toEqual([0, 0, 1]);
  const other = await readOpeningKeys(folder, {identityFile: 'three.txt'});
  await expect(collect(decryptStream(pieces(sealed, 99), other))).rejects.toMatchObject({code: 'KEY_NEEDED'});
  const none = {identities: [], passphrases: []};
  await expect(collect(decryptStream(pieces(sealed, 99), none))).rejects.toMatchObject({code: 'KEY_NEEDED'});
});

it('with a passphrase is opened only by that passphrase', async () => {
  await writeFile(join(folder, 'words.txt'), 'four quite ordinary words\nnot this line\n');
  await writeFile(join(folder, 'wrong.txt'), 'other words\n');
  const right = await readOpeningKeys(folder, {passphraseFile: 'words.txt'});
  const wrong = await readOpeningKeys(folder, {passphraseFile: 'wrong.txt'});
  const sealed = await collect(
    encryptStream(pieces(Buffer.from('secret'), 6), {passphrase: 'four quite ordinary words'}),
  );
  expect((await collect(decryptStream(pieces(sealed, 50), right))).toString()).toBe('secret');
  await expect(collect(decryptStream(pieces(sealed, 50), wrong))).rejects.toMatchObject({code: 'KEY_NEEDED'});
});

/** age asks for passphrases only on a terminal, so it gets one. */
function onTerminal(command: string, typed: string): void {
  execFileSync('script', ['-qec', command, '/dev/null'], {input: typed, cwd: folder, timeout: 60_000});
}

it('with a passphrase is opened by age, and so is a file of age here', async () => {
  await writeFile(join(folder, 'phrase.txt'), 'seven ordinary words\n', {mode: 0o600});
  const phrase = await readOpeningKeys(folder, {passphraseFile: 'phrase.txt'});
  const bytes = randomBytes(70_000);
  const sealed = await collect(encryptStream(pieces(bytes, 9999), {passphrase: 'seven ordinary words'}));
  await writeFile(join(folder, 'ours.age'), sealed);
  onTerminal('age -d -o ours.txt ours.age', 'seven ordinary words\n');
  expect((await readFile(join(folder, 'ours.txt'))).equals(bytes)).toBe(true);
  onTerminal('age -p -o theirs.age ours.txt', 'seven ordinary words\nseven ordinary words\n');
  const theirs = createReadStream(join(folder, 'theirs.age'));
  expect((await collect(decryptStream(theirs, phrase))).equals(bytes)).toBe(true);
});

it('is refused after any damage', async () => {
  const bytes = randomBytes(200_000);
  const sealed = await collect(encryptStream(pieces(bytes, 65_536), {recipients: [recipient]}));
  const chunk = 65_552;
  const start = sealed.length - (200_000 + 4 * 16);
  const flip = (at: number): Buffer => {
    const copy = Buffer.from(sealed);
    copy.writeUInt8((copy.readUInt8(at) ^ 1) & 255, at);
    return copy;
  };
  const swapped = Buffer.concat([
    sealed.subarray(0, start),
    sealed.subarray(start + chunk, start + 2 * chunk),
    sealed.subarray(start, start + chunk),
    sealed.subarray(start + 2 * chunk),
  ]);
  const cases: Record<string, Buffer> = {
    empty: Buffer.alloc(0),
    'header only': sealed.subarray(0, start),
    'cut at a chunk': sealed.subarray(0, start + chunk),
    'cut in a chunk': sealed.subarray(0, start + chunk + 100),
    'last byte missing': sealed.subarray(0, -1),
    'something behind it': Buffer.concat([sealed, Buffer.from('x')]),
    'chunks swapped': swapped,
    'first bit of the payload': flip(start),
    'last bit': flip(sealed.length - 1),
    'a bit of the nonce': flip(start - 1),
    'a bit of the header': flip(90),
  };
  for (const [name, broken] of Object.entries(cases)) {
    const result = await collect(decryptStream(pieces(broken, 4096), keys)).catch((error: unknown) => error);
    const codes = name === 'a bit of the header' ? /^(?:DECRYPT_FAILED|KEY_NEEDED)$/ : /^DECRYPT_FAILED$/;
    expect((result as {code?: string}).code, name).toMatch(codes);
  }
});

it('refuses recipients that are not public keys, above all secret keys', async () => {
  await checkRecipients([recipient]);
  const secret = keys.identities[0] ?? '';
  for (const wrong of [
    '',
    'age1abc',
    recipient.slice(0, -1) + (recipient.endsWith('q') ? 'p' : 'q'),
    secret,
    'ssh-ed25519 AAAA',
  ]) {
    const error = (await checkRecipients([wrong]).catch((thrown: unknown) => thrown)) as {
      code: string;
      message: string;
    };
    expect(error.code).toBe('USAGE');
    expect(error.message).not.toContain(secret);
  }
});

it('refuses a key file without keys, and does not quote it', async () => {
  await writeFile(join(folder, 'no-key.txt'), '# nothing\nhunter2\n');
  const error: unknown = await readOpeningKeys(folder, {identityFile: 'no-key.txt'}).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({code: 'USAGE'});
  expect(String(error)).not.toContain('hunter2');
  expect((await readFile(keyFile, 'utf8')).includes(keys.identities[0] ?? '-')).toBe(true);
});
