/** Flags that several commands share; the same name means the same everywhere. */
import {resolve} from 'node:path';
import {Flags} from '@oclif/core';
import {defined, type Given} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import {parseDuration} from '../base/parse-duration.js';
import {isAddress, placeProblem} from '../base/place-name.js';
import type {EncryptionFlags} from '../encryption/settings.js';

const helpGroup = 'GLOBAL';

export const globalFlags = {
  quiet: Flags.boolean({char: 'q', helpGroup, summary: 'Print errors and alarms only.'}),
  verbose: Flags.boolean({
    helpGroup,
    summary: "Show the tools' messages and, on errors, their cause.",
    exclusive: ['quiet'],
  }),
  config: Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Config file instead of ./destino-db.config.json.',
  }),
  'env-file': Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Environment file instead of .env.local and .env.',
  }),
  'database-url': Flags.string({
    helpGroup,
    helpValue: 'URL',
    summary: 'Connection URL; safer in DIRECT_URL, where ps cannot show it.',
  }),
  'use-direct-url': Flags.boolean({
    helpGroup,
    summary: 'Take DIRECT_URL, else DATABASE_URL (the default).',
    exclusive: ['use-database-url'],
  }),
  'use-database-url': Flags.boolean({helpGroup, summary: 'Take DATABASE_URL only.'}),
  'backups-dir': Flags.string({
    helpGroup,
    helpValue: 'DIR',
    summary: 'Folder of all backups instead of ./backups.',
  }),
  'pg-bin': Flags.string({helpGroup, helpValue: 'DIR', summary: 'Folder of the PostgreSQL client tools.'}),
  'metrics-file': Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Write a Prometheus textfile after runs that do work.',
  }),
  'no-color': Flags.boolean({helpGroup, summary: 'No colours; NO_COLOR does the same.'}),
};

/** A flag with one value that may be given several times. */
export function repeatableFlag(
  helpValue: string,
  summary: string,
  options: {readonly helpGroup?: string; readonly exclusive?: string[]; readonly dependsOn?: string[]} = {},
) {
  return Flags.string({...options, helpValue, summary, multiple: true, multipleNonGreedy: true});
}

/** Flags that answer the question before a destructive step. */
export const confirmFlags = {
  yes: Flags.boolean({
    helpGroup: 'SAFETY',
    char: 'y',
    summary: 'Answer the question with yes (not for production).',
    aliases: ['no-confirm'],
  }),
  'confirm-db': Flags.string({
    helpGroup: 'SAFETY',
    helpValue: 'NAME',
    summary: "Answer the question by the database's name; the only answer for production.",
  }),
};

/** For commands that write to the backups folder or change a database: how long to wait for another run. */
export const waitFlag = {
  wait: Flags.integer({
    helpGroup: 'SAFETY',
    helpValue: 'SECONDS',
    min: 0,
    max: 86_400,
    summary: 'Wait for another run that is at work instead of refusing.',
  }),
};

/** For commands that change a database: how long to wait for locks that others queue behind. */
export const lockWaitFlag = {
  'lock-wait': Flags.string({
    helpGroup: 'SAFETY',
    helpValue: 'DURATION',
    summary: 'How long to wait for locks of other sessions before rolling back (10s).',
  }),
};

/** For commands that take a backup from a place other than the backups folder. */
export const placeFlags = {
  from: Flags.string({
    helpGroup: 'SOURCE',
    helpValue: 'PLACE',
    summary: 'Take the backup from s3://bucket/prefix, or a folder, instead of BACKUPS-DIR/database.',
  }),
  identity: Flags.string({
    helpGroup: 'SOURCE',
    helpValue: 'FILE',
    summary: 'File with the secret key of an encrypted backup (age).',
  }),
  'passphrase-file': Flags.string({
    helpGroup: 'SOURCE',
    helpValue: 'FILE',
    summary: 'File whose first line is the passphrase of an encrypted backup.',
  }),
};

/** For commands that write backups: whom they are encrypted to. */
export const encryptFlags = {
  'encrypt-to': repeatableFlag('AGE1...', 'Encrypt to this public key of age (repeatable).', {
    helpGroup: 'ENCRYPTION',
    exclusive: ['passphrase-file'],
  }),
  'passphrase-file': Flags.string({
    helpGroup: 'ENCRYPTION',
    helpValue: 'FILE',
    summary: 'Encrypt with the passphrase in the first line of this file.',
  }),
  'encrypt-local': Flags.boolean({
    helpGroup: 'ENCRYPTION',
    allowNo: true,
    summary: 'With --no-encrypt-local, encrypt copies only; what stays in the backups folder is plain.',
  }),
  'require-encryption': Flags.boolean({
    helpGroup: 'ENCRYPTION',
    summary: 'Refuse to write a backup without a key to encrypt it with.',
  }),
  identity: Flags.string({
    helpGroup: 'ENCRYPTION',
    helpValue: 'FILE',
    summary: 'Secret key of age, tried on what was encrypted.',
  }),
};

/** What `encryptFlags` say, as services take it. */
export function encryptionFlagsOf(
  flags: Given<{
    'encrypt-to'?: string[];
    'passphrase-file'?: string;
    'encrypt-local'?: boolean;
    'require-encryption'?: boolean;
    identity?: string;
  }>,
): EncryptionFlags {
  return defined({
    recipients: flags['encrypt-to'],
    passphraseFile: flags['passphrase-file'],
    identityFile: flags.identity,
    isLocal: flags['encrypt-local'],
    isRequired: flags['require-encryption'],
  });
}

/** Where a backup is taken from and what opens it, as `placeFlags` say. */
export function sourceOf(flags: Given<{from?: string; identity?: string; 'passphrase-file'?: string}>): {
  from?: string;
  identityFile?: string;
  passphraseFile?: string;
} {
  return defined({
    from: flags.from,
    identityFile: flags.identity,
    passphraseFile: flags['passphrase-file'],
  });
}

/** What `waitFlag` says, in ms. */
export function waitMsOf(flags: Given<{wait?: number}>): number {
  return (flags.wait ?? 0) * 1000;
}

/** PostgreSQL takes 0 for no limit. */
const shortestLockWaitMs = 100;
const longestLockWaitMs = 86_400_000;

/**
 * What `lockWaitFlag` says, in ms; undefined where it is not given.
 * @throws USAGE
 */
export function lockWaitMsOf(flags: Given<{'lock-wait'?: string}>): number | undefined {
  const text = flags['lock-wait'];
  if (text === undefined) return undefined;
  const ms = parseDuration(text, '--lock-wait');
  if (ms >= shortestLockWaitMs && ms <= longestLockWaitMs) return Math.round(ms);
  throw new AppError('USAGE', `--lock-wait is "${text}"; it takes 0.1s to 1d.`);
}

/** The global flags that say what is worked on, for a command that runs later or elsewhere: with absolute paths, without a URL. */
export function settingsWords(
  flags: Given<{
    config?: string;
    'env-file'?: string;
    'backups-dir'?: string;
    'pg-bin'?: string;
    'use-database-url'?: boolean;
  }>,
): string[] {
  const paths = (['config', 'env-file', 'backups-dir', 'pg-bin'] as const).flatMap((name) => {
    const value = flags[name];
    return value === undefined ? [] : [`--${name}=${resolve(value)}`];
  });
  return flags['use-database-url'] === true ? [...paths, '--use-database-url'] : paths;
}

/** The same, and the URL where a flag named it, which is printed without its password: the command would go to another database without it. */
export function sameSettings(
  flags: Parameters<typeof settingsWords>[0] & Given<{'database-url'?: string}>,
): string[] {
  const url = flags['database-url'];
  return [...settingsWords(flags), ...(url === undefined ? [] : [`--database-url=${url}`])];
}

/** An integer flag within bounds. */
export function countFlag(
  summary: string,
  bounds: {readonly min: number; readonly max?: number; readonly helpGroup?: string},
) {
  return Flags.integer({
    summary,
    helpValue: 'N',
    ...bounds,
  });
}

/**
 * What can be no place is told before any work begins.
 * @throws USAGE naming the flag
 */
export function refuseBadPlaces(flags: object): void {
  for (const [name, value] of Object.entries(flags) as [string, unknown][]) {
    for (const place of [value].flat()) {
      if (typeof place !== 'string') continue;
      if (['from', 'to'].includes(name)) {
        const problem = placeProblem(place);
        const hint = 'A place is s3://bucket/prefix, or a folder.';
        if (problem !== undefined) throw new AppError('USAGE', `--${name}: ${problem}`, {hint});
      } else if (name.endsWith('-dir') && isAddress(place)) {
        throw new AppError('USAGE', `--${name} takes a folder, and "${place}" is none.`, {
          hint: 'A bucket is named with --to, --from or storage.places in the config file.',
        });
      }
    }
  }
}

/**
 * An empty shell variable (`--target-db "$DB"`) must not silently mean another database, folder or backup.
 * @throws USAGE naming the flag
 */
export function refuseEmptyFlags(flags: object): void {
  for (const [name, value] of Object.entries(flags) as [string, unknown][]) {
    const values: unknown[] = Array.isArray(value) ? value : [value];
    if (!values.includes('')) continue;
    throw new AppError('USAGE', `--${name} is given without a value; nothing was done.`, {
      hint: 'Is a shell variable empty? Name a value, or leave the flag out.',
    });
  }
}
