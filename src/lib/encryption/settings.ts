/** Recipients and keys for backups, from flags or the config file; checked before any work begins. */
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import type {Settings} from '../settings/settings.js';
import {checkRecipients, type EncryptTo, type OpeningKeys, readOpeningKeys} from './age-keys.js';
import {decryptStream, encryptStream} from './age-stream.js';
import type {BackupRecord} from '../catalog/backup-record.js';

/** Files with keys that open a backup; undefined if not given. */
export interface KeyFiles {
  readonly identityFile?: string;
  readonly passphraseFile?: string;
}

export interface EncryptionFlags extends KeyFiles {
  readonly recipients?: readonly string[];
  /** False leaves backups in the backups folder unencrypted. */
  readonly isLocal?: boolean;
  /** True refuses to write unencrypted files; the default is the config file's value. */
  readonly isRequired?: boolean;
}

export interface Encryption {
  /** Undefined for unencrypted files. */
  readonly to: EncryptTo | undefined;
  /** Whether backups in the backups folder are encrypted too. */
  readonly isLocal: boolean;
  readonly isRequired: boolean;
  /** Keys to try on the first chunk of every encrypted file; may be empty. */
  readonly keys: OpeningKeys;
}

/**
 * Keys of the flags, else of the config file. A key file of the config may be stored elsewhere until it is needed:
 * unencrypted backups can be made, read and restored without it.
 * @throws READ_FAILED for a file that a flag names, USAGE
 */
export async function keysOf(
  {settings, warn}: Pick<RunContext, 'settings' | 'warn'>,
  files: KeyFiles,
): Promise<OpeningKeys> {
  const {identities, passphrases} = await readOpeningKeys(settings.cwd, files);
  const keys = {identities: [...identities], passphrases: [...passphrases]};
  for (const kind of ['identityFile', 'passphraseFile'] as const) {
    const file = files[kind] === undefined ? settings.config.encryption?.[kind] : undefined;
    try {
      const configured = await readOpeningKeys(settings.cwd, {[kind]: file});
      keys.identities.push(...configured.identities);
      keys.passphrases.push(...configured.passphrases);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'READ_FAILED') throw error;
      warn(`${error.message} Backups encrypted for it cannot be opened or tested.`);
    }
  }
  return keys;
}

/**
 * The flags, else the recipients of the config file, else its passphrase.
 * @throws USAGE for an invalid recipient, or both kinds at once; KEY_NEEDED if the given identity does not match the recipients
 */
export async function encryptionOf(
  context: Pick<RunContext, 'settings' | 'warn'>,
  flags: EncryptionFlags,
): Promise<Encryption> {
  if (flags.recipients !== undefined && flags.passphraseFile !== undefined) {
    throw new AppError(
      'USAGE',
      '--encrypt-to and --passphrase-file exclude each other: the age format supports one of them.',
    );
  }
  const {config} = context.settings;
  const keys = await keysOf(context, flags);
  const isLocal = flags.isLocal ?? config.encryption?.local ?? true;
  const isRequired = flags.isRequired ?? config.encryption?.require ?? false;
  const recipients =
    flags.passphraseFile === undefined ? (flags.recipients ?? config.encryption?.recipients ?? []) : [];
  const [passphrase] = keys.passphrases;
  if (recipients.length === 0) {
    const file = config.encryption?.passphraseFile;
    if (file !== undefined && passphrase === undefined)
      throw new AppError('READ_FAILED', `Cannot read ${file}, which contains the passphrase for backups.`, {
        hint: 'Nothing was written, because the backup would be unencrypted. Check encryption.passphraseFile in the config file.',
      });
    return {to: passphrase === undefined ? undefined : {passphrase}, isLocal, isRequired, keys};
  }
  await checkRecipients(recipients);
  await requireFittingIdentity(recipients, keys.identities);
  return {to: {recipients}, isLocal, isRequired, keys};
}

/** @throws GUARD if encryption is required and no recipient is set */
export function requireEncryption({to, isRequired}: Pick<Encryption, 'to' | 'isRequired'>): void {
  if (!isRequired || to) return;
  throw new AppError(
    'GUARD',
    'Encryption is required (--require-encryption, or encryption.require in the config file), and no key is set. Nothing was written.',
    {hint: 'Give a public key with --encrypt-to AGE1..., or a passphrase with --passphrase-file FILE.'},
  );
}

/** The flags by which a command opens such a backup, with a placeholder if the config file has no key. */
export function keyWords(settings: Settings, record: BackupRecord | null): string[] {
  if (!record?.encryption) return [];
  return keyWordsFor(settings, record.encryption.recipients.length > 0);
}

/** @param isToKeys whether it was encrypted for public keys, not with a passphrase */
export function keyWordsFor(settings: Settings, isToKeys: boolean): string[] {
  const {identityFile, passphraseFile} = settings.config.encryption ?? {};
  if (isToKeys) return identityFile === undefined ? ['--identity', 'KEY.txt'] : [];
  return passphraseFile === undefined ? ['--passphrase-file', 'PASSPHRASE.txt'] : [];
}

/** Detects an identity that opens none of the new backups now, not on the day it is needed. @throws KEY_NEEDED */
export async function requireFittingIdentity(
  recipients: readonly string[],
  identities: readonly string[],
): Promise<void> {
  if (identities.length === 0) return;
  try {
    await decryptStream(encryptStream(nothing(), {recipients}), {identities, passphrases: []}).next();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'KEY_NEEDED') throw error;
    throw new AppError(
      'KEY_NEEDED',
      'The given identity opens nothing that is encrypted for these recipients. Nothing was done.',
      {
        hint: 'Add its public key (age-keygen -y FILE) to the recipients, or remove the identity if its key is stored elsewhere.',
        cause: error,
      },
    );
  }
}

// oxlint-disable-next-line typescript/require-await -- the form that the stream takes
async function* nothing(): AsyncGenerator<Buffer> {
  yield* [];
}
