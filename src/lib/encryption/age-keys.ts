/** Headers of the age format (age-encryption.org/v1), which determine who can open a file. The only file that loads age-encryption. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {passphraseIdentity, passphraseRecipient} from './age-passphrase.js';

/** The recipients of a backup: public keys, or one passphrase. */
export type EncryptTo = {readonly recipients: readonly string[]} | {readonly passphrase: string};

/** Keys that may open an encrypted backup. */
export interface OpeningKeys {
  readonly identities: readonly string[];
  readonly passphrases: readonly string[];
}

export interface FileHeader {
  /** The header's bytes and the 16 bytes of nonce after it. */
  readonly bytes: Buffer;
  readonly fileKey: Uint8Array;
  readonly nonce: Buffer;
}

export const nonceBytes = 16;
const tagBytes = 16;

/** @throws USAGE if a recipient is not an X25519 public key of age */
export async function checkRecipients(recipients: readonly string[]): Promise<void> {
  const {Encrypter} = await import('age-encryption');
  for (const recipient of recipients) {
    const hint = 'Make a key pair with: age-keygen -o key.txt (its second line is the public key, age1...).';
    if (/^AGE-SECRET-KEY/i.test(recipient)) {
      throw new AppError(
        'USAGE',
        'A secret key was given instead of a public key (age1...). Remove it from the command line or the config file.',
        {hint},
      );
    }
    try {
      // Only the plain X25519 form, which every version of the age tool opens: "age1" and 58 characters.
      if (!/^age1[02-9ac-hj-np-z]{58}$/.test(recipient)) throw new Error('not an X25519 recipient');
      new Encrypter().addRecipient(recipient);
    } catch (error) {
      throw new AppError('USAGE', `"${recipient}" is not a public key of age.`, {hint, cause: error});
    }
  }
}

/** A new header with its own file key. The package gives the key to recipients only, so one recipient stores it. */
export async function makeHeader(to: EncryptTo): Promise<FileHeader> {
  const {Encrypter, Stanza} = await import('age-encryption');
  const encrypter = new Encrypter();
  let fileKey: Uint8Array | undefined;
  const recipients = 'passphrase' in to ? [passphraseRecipient(to.passphrase, Stanza)] : to.recipients;
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key;
      return [];
    },
  });
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array()));
  const bytes = empty.subarray(0, empty.length - tagBytes);
  if (!fileKey) throw new AppError('UNEXPECTED', 'No key was made for an encrypted file.');
  return {bytes, fileKey: Uint8Array.from(fileKey), nonce: bytes.subarray(bytes.length - nonceBytes)};
}

/** @param header its bytes without the nonce @throws KEY_NEEDED if no key opens it, DECRYPT_FAILED if it is damaged */
export async function openHeader(header: Buffer, keys: OpeningKeys): Promise<Uint8Array> {
  const {Decrypter} = await import('age-encryption');
  if (keys.identities.length + keys.passphrases.length === 0) throw keyNeeded('and no key was given');
  const decrypter = new Decrypter();
  for (const identity of keys.identities) decrypter.addIdentity(identity);
  for (const passphrase of keys.passphrases) decrypter.addIdentity(passphraseIdentity(passphrase));
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (messageOf(error).includes('no identity matched'))
      throw keyNeeded('and none of the given keys opens it');
    throw new AppError(
      'DECRYPT_FAILED',
      `The header of the encrypted file is damaged: ${messageOf(error)}.`,
      {cause: error},
    );
  }
}

function keyNeeded(why: string): AppError {
  return new AppError('KEY_NEEDED', `The backup is encrypted, ${why}.`, {
    hint: 'Give the key with --identity FILE, or --passphrase-file FILE if it was encrypted with a passphrase.',
  });
}

/** @throws READ_FAILED, USAGE if a file has no key */
export async function readOpeningKeys(
  cwd: string,
  files: {readonly identityFile?: string; readonly passphraseFile?: string},
): Promise<OpeningKeys> {
  const identities: string[] = [];
  if (files.identityFile !== undefined) {
    const lines = (await readSecret(cwd, files.identityFile)).split(/\r?\n/).map((line) => line.trim());
    identities.push(...lines.filter((line) => line !== '' && !line.startsWith('#')));
    const {Decrypter} = await import('age-encryption');
    try {
      if (identities.length === 0) throw new Error('it contains no key');
      for (const identity of identities) new Decrypter().addIdentity(identity);
    } catch {
      // The package's message may quote the line, which is secret.
      throw new AppError('USAGE', `${files.identityFile} is not a file of secret keys of age.`, {
        hint: 'Its lines begin with AGE-SECRET-KEY-1; age-keygen writes such a file.',
      });
    }
  }
  const passphrases =
    files.passphraseFile === undefined ? [] : [await readPassphrase(cwd, files.passphraseFile)];
  return {identities, passphrases};
}

/** The first line of the file. @throws READ_FAILED, USAGE when it is empty */
async function readPassphrase(cwd: string, file: string): Promise<string> {
  const [first = ''] = (await readSecret(cwd, file)).split(/\r?\n/);
  if (first !== '') return first;
  throw new AppError('USAGE', `The first line of ${file}, which should be the passphrase, is empty.`);
}

async function readSecret(cwd: string, file: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), 'utf8');
  } catch (error) {
    const isAbsent = systemErrorCode(error) === 'ENOENT';
    const why = isAbsent ? 'it does not exist' : messageOf(error);
    throw new AppError('READ_FAILED', `Cannot read the key file ${file}: ${why}.`, {
      hint: 'Check --identity or --passphrase-file, or "encryption" in the config file.',
      cause: error,
    });
  }
}
