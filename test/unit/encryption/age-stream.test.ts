/** Sources of encrypted files are closed after every error of their reader. */
import {expect, it} from 'vitest';
import {decryptStream, encryptStream} from '../../../src/lib/encryption/age-stream.js';

const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

it.each(['no key opens it', 'it is not an age file'])('closes the source when %s', async (why) => {
  let isClosed = false;
  async function* plain(): AsyncGenerator<Buffer> {
    yield await Promise.resolve(Buffer.from('x'));
  }
  async function* source(): AsyncGenerator<Buffer> {
    try {
      if (why === 'no key opens it') yield* encryptStream(plain(), {recipients: [recipient]});
      for (;;) yield await Promise.resolve(Buffer.alloc(1 << 20));
    } finally {
      isClosed = true;
    }
  }
  const opened = decryptStream(source(), {identities: [], passphrases: []});
  await expect(opened.next()).rejects.toThrow();
  expect(isClosed).toBe(true);
});
