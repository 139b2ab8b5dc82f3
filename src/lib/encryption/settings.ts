/** Whom backups are encrypted to and what opens them: flags, else the config file, checked before any work begins. */
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import type {Settings} from '../settings/settings.js';
import {checkRecipients, type EncryptTo, type OpeningKeys, readOpeningKeys} from './age-keys.js';
import {decryptStream, encryptStream} from './age-stream.js';
import type {BackupRecord} from '../catalog/backup-record.js';

/** Files of what opens a backup; undefined where not given. */
export interface KeyFiles {
  readonly identityFile?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

export interface EncryptionFlags extends KeyFiles {
  readonly recipients?: readonly string[] | undefined;
  /** False leaves what stays in the backups folder plain. */
  readonly isLocal?: boolean | undefined;
  /** True refuses to write anything that is not encrypted; by default what the config file says. */
  readonly isRequired?: boolean | undefined;
}

export interface Encryption {
  /** Undefined for plain files. */
  readonly to: EncryptTo | undefined;
  /** Whether what stays in the backups folder is encrypted too. */
  readonly isLocal: boolean;
  readonly isRequired: boolean;
  /** What is tried on the first chunk of everything that is encrypted; perhaps none. */
  readonly keys: OpeningKeys;
}

/**
 * Keys of the flags, else of the config file. The file that the config names may be kept elsewhere until it is needed:
 * without it plain backups are still made, read and restored.
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
      warn(`${error.message} What is encrypted to it can be neither opened nor tried.`);
    }
  }
  return keys;
}

/**
 * The flags, else the config file: its recipients, or without any its passphrase.
 * @throws USAGE for a recipient that is none, or both kinds at once; KEY_NEEDED when the identity at hand does not fit the recipients
 */
export async function encryptionOf(
  context: Pick<RunContext, 'settings' | 'warn'>,
  flags: EncryptionFlags,
): Promise<Encryption> {
  if (flags.recipients !== undefined && flags.passphraseFile !== undefined) {
    throw new AppError(
      'USAGE',
      '--encrypt-to contradicts --passphrase-file: the age format knows one or the other.',
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
      throw new AppError('READ_FAILED', `${file} holds the passphrase for backups and cannot be read.`, {
        hint: 'Nothing was written, as it would have been plain. Check encryption.passphraseFile in the config file.',
      });
    return {to: passphrase === undefined ? undefined : {passphrase}, isLocal, isRequired, keys};
  }
  await checkRecipients(recipients);
  await requireFittingIdentity(recipients, keys.identities);
  return {to: {recipients}, isLocal, isRequired, keys};
}

/** @throws GUARD where only encrypted files may be written and nothing says how to encrypt them */
export function requireEncryption({to, isRequired}: Pick<Encryption, 'to' | 'isRequired'>): void {
  if (!isRequired || to) return;
  throw new AppError(
    'GUARD',
    'Only encrypted backups may be written (--require-encryption, or encryption.require in the config file), and no key is set; nothing was written.',
    {hint: 'Name a public key with --encrypt-to AGE1..., or a passphrase with --passphrase-file FILE.'},
  );
}

/** The flags by which a command opens such a backup, with a name to fill in where the config file knows no key. */
export function keyWords(settings: Settings, record: BackupRecord | null): string[] {
  if (!record?.encryption) return [];
  return keyWordsFor(settings, record.encryption.recipients.length > 0);
}

/** @param isToKeys whether it was encrypted to public keys, not with a passphrase */
export function keyWordsFor(settings: Settings, isToKeys: boolean): string[] {
  const {identityFile, passphraseFile} = settings.config.encryption ?? {};
  if (isToKeys) return identityFile === undefined ? ['--identity', 'KEY.txt'] : [];
  return passphraseFile === undefined ? ['--passphrase-file', 'PASSPHRASE.txt'] : [];
}

/** An identity that opens nothing of what is encrypted is found out now, not on the day it is needed. @throws KEY_NEEDED */
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
      'The identity at hand opens nothing that is encrypted to these recipients; nothing was done.',
      {
        hint: 'Add its public key (age-keygen -y FILE) to the recipients, or take the identity away where its key is kept elsewhere.',
        cause: error,
      },
    );
  }
}

// oxlint-disable-next-line typescript/require-await -- the form that the stream takes
async function* nothing(): AsyncGenerator<Buffer> {
  yield* [];
}
