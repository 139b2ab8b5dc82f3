/** Flags that several commands share; the same name means the same everywhere. */
import {resolve} from 'node:path';
import {Args, Flags} from '@oclif/core';
import {defined, type Given} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import {parseDuration} from '../base/parse-duration.js';
import {isAddress, placeProblem} from '../base/place-name.js';
import type {EncryptionFlags} from '../encryption/settings.js';

/** Headings of the flags on help pages, in the order in which pages show them. */
export const groups = {
  whichDatabase: 'WHICH DATABASE',
  whichBackup: 'WHICH BACKUP',
  whichRuns: 'WHICH RUNS',
  whichRows: 'WHICH ROWS',
  whichOrders: 'WHICH ORDERS',
  whatToBackUp: 'WHAT TO BACK UP',
  whatToRestore: 'WHAT TO RESTORE',
  whatToKeep: 'WHAT TO KEEP',
  setAside: 'SET-ASIDE DATABASES',
  fullBackup: 'FULL BACKUP',
  level: 'HOW TO CHECK',
  limits: 'LIMITS',
  format: 'FORMAT',
  whereTo: 'WHERE TO',
  config: 'CONFIG',
  encryption: 'ENCRYPTION',
  speed: 'SPEED',
  output: 'OUTPUT',
  safety: 'SAFETY',
  global: 'GLOBAL',
} as const;

const helpGroup = groups.global;

export const globalFlags = {
  json: Flags.boolean({helpGroup, summary: 'Print one JSON document instead of text.'}),
  quiet: Flags.boolean({char: 'q', helpGroup, summary: 'Print errors and alarms only.'}),
  verbose: Flags.boolean({
    helpGroup,
    summary: "Print more: messages of PostgreSQL's tools and causes of errors.",
    exclusive: ['quiet'],
  }),
  config: Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Config file (default: ./destino-db.config.json).',
  }),
  'env-file': Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Environment file (default: .env.local and .env).',
  }),
  'database-url': Flags.string({
    helpGroup,
    helpValue: 'URL',
    summary: 'Connection URL; safer in a variable, which ps cannot show (default: DIRECT_URL).',
  }),
  'use-direct-url': Flags.boolean({
    helpGroup,
    summary: 'Use DIRECT_URL, and DATABASE_URL where it is not set (default: on).',
    exclusive: ['use-database-url'],
  }),
  'use-database-url': Flags.boolean({helpGroup, summary: 'Use DATABASE_URL even where DIRECT_URL is set.'}),
  'backups-dir': Flags.string({
    helpGroup,
    helpValue: 'DIR',
    summary: 'Folder of all backups (default: ./backups).',
  }),
  'pg-bin': Flags.string({
    helpGroup,
    helpValue: 'DIR',
    summary: 'Folder of pg_dump, pg_restore and psql (default: the installed ones that fit the server).',
  }),
  'metrics-file': Flags.string({
    helpGroup,
    helpValue: 'FILE',
    summary: 'Prometheus textfile to write after runs that do work (default: none).',
  }),
  'no-color': Flags.boolean({helpGroup, summary: 'Print without colours, as the variable NO_COLOR does.'}),
};

/** A flag with one value that may be given several times. */
export function repeatableFlag(
  helpValue: string,
  summary: string,
  options: {readonly helpGroup?: string; readonly exclusive?: string[]; readonly dependsOn?: string[]} = {},
) {
  return Flags.string({...options, helpValue, summary, multiple: true, multipleNonGreedy: true});
}

/** For commands that work on databases of the config file. */
export const databaseFlags = {
  database: repeatableFlag(
    'NAME',
    'Database or server in "databases" of the config file (repeatable; default: that of the URL).',
    {helpGroup: groups.whichDatabase, exclusive: ['all-databases']},
  ),
  'all-databases': Flags.boolean({
    helpGroup: groups.whichDatabase,
    summary: 'Use all "databases" of the config file; one that fails does not stop the others.',
  }),
};

/** Flags that answer the question before a destructive step. */
export const confirmFlags = {
  yes: Flags.boolean({
    helpGroup: groups.safety,
    char: 'y',
    summary: 'Confirm the change without a question; not enough for production.',
    aliases: ['no-confirm'],
  }),
  'confirm-db': Flags.string({
    helpGroup: groups.safety,
    helpValue: 'NAME',
    summary: "Confirm the change by the database's name, for production too.",
  }),
};

/** For commands that write to the backups folder or change a database: how long to wait for another run. */
export const waitFlag = {
  wait: Flags.integer({
    helpGroup: groups.safety,
    helpValue: 'SECONDS',
    min: 0,
    max: 86_400,
    summary: 'Time to wait for another run to end (default: 0, refuse at once).',
  }),
};

/** For commands that change a database: how long to wait for locks that others queue behind. */
export const lockWaitFlag = {
  'lock-wait': Flags.string({
    helpGroup: groups.safety,
    helpValue: 'DURATION',
    summary: 'Time to wait for locks of other sessions before rolling back (default: 10s).',
  }),
};

/** For commands that change something with --execute only. */
export const dryRunFlag = {
  'dry-run': Flags.boolean({
    helpGroup: groups.safety,
    char: 'n',
    summary: 'Print what would happen, and change nothing (default: on).',
    exclusive: ['execute'],
  }),
};

/** For commands that restore rows: what to do about those that are in the way. */
export const conflictsFlag = {
  'fail-on-conflicts': Flags.boolean({
    helpGroup: groups.safety,
    summary: 'Stop before anything is written if a row cannot be restored.',
  }),
};

/** For commands that take a backup by its time. */
export const atFlag = {
  at: Flags.string({
    helpGroup: groups.whichBackup,
    helpValue: 'TIME',
    summary:
      'Newest usable backup taken at or before TIME: ISO 8601 or as list prints it, in UTC unless it has a zone.',
  }),
};

/** For commands that take a backup from a location other than the backups folder. */
export const placeFlags = {
  from: Flags.string({
    helpGroup: groups.whichBackup,
    helpValue: 'PLACE',
    summary: 'Location of the backup: s3://bucket/prefix or a folder (default: the backups folder).',
  }),
  identity: Flags.string({
    helpGroup: groups.whichBackup,
    helpValue: 'FILE',
    summary: 'File with the secret age key of an encrypted backup.',
  }),
  'passphrase-file': Flags.string({
    helpGroup: groups.whichBackup,
    helpValue: 'FILE',
    summary: 'File whose first line is the passphrase of an encrypted backup.',
  }),
};

/** For commands that look for a backup elsewhere and read its metadata alone. */
export const backupFrom = {
  from: Flags.string({
    helpGroup: groups.whichBackup,
    helpValue: 'PLACE',
    summary: 'Folder, or s3://bucket/prefix, instead of BACKUPS-DIR/database.',
  }),
};

const description = 'Id of the backup, the beginning of one, "latest", or its file.';

/** The argument of commands that work on one backup. Without `ignoreStdin`, oclif takes the next line of a `while read` loop for it. */
export const backupArgument = {backup: Args.string({description, ignoreStdin: true})};

/** The same for commands that work on nothing else. */
export const requiredBackup = {backup: Args.string({description, ignoreStdin: true, required: true})};

/**
 * The backup that an argument or --backup-file names.
 * @param others flags that choose a backup too
 * @throws USAGE for an argument beside one of these, or an empty one
 */
export function namedBackup(
  argument: string | undefined,
  flags: Readonly<Record<string, unknown>>,
  others: readonly string[] = [],
): string | undefined {
  const given = others.find((name) => flags[name] !== undefined && flags[name] !== false);
  if (argument === '')
    throw new AppError('USAGE', 'The id of the backup is empty; nothing was done.', {
      hint: 'Is a shell variable empty? destino-db list shows the ids.',
    });
  if (argument !== undefined && given !== undefined)
    throw new AppError('USAGE', `The argument "${argument}" contradicts --${given}: name one backup.`);
  const file = flags['backup-file'];
  return argument ?? (typeof file === 'string' ? file : undefined);
}

/** For commands that write backups: whom they are encrypted to. */
export const encryptFlags = {
  'encrypt-to': repeatableFlag('AGE1...', 'Public age key to encrypt to (repeatable).', {
    helpGroup: groups.encryption,
    exclusive: ['passphrase-file'],
  }),
  'passphrase-file': Flags.string({
    helpGroup: groups.encryption,
    helpValue: 'FILE',
    summary: 'File whose first line is the passphrase to encrypt with.',
  }),
  'encrypt-local': Flags.boolean({
    helpGroup: groups.encryption,
    allowNo: true,
    summary: 'Encrypt in the backups folder too, and not only what is copied elsewhere (default: on).',
  }),
  'require-encryption': Flags.boolean({
    helpGroup: groups.encryption,
    summary: 'Refuse to write an unencrypted backup.',
  }),
  identity: Flags.string({
    helpGroup: groups.encryption,
    helpValue: 'FILE',
    summary: 'File with the secret age key, to test that what was encrypted can be opened.',
  }),
};

/** The values of `encryptFlags` in the form that services take. */
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

/** The value of `waitFlag` in ms. */
export function waitMsOf(flags: Given<{wait?: number}>): number {
  return (flags.wait ?? 0) * 1000;
}

/** PostgreSQL takes 0 for no limit. */
const shortestLockWaitMs = 100;
const longestLockWaitMs = 86_400_000;

/**
 * The value of `lockWaitFlag` in ms; undefined where it is not given.
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
 * Refuses values that cannot be a location before any work begins.
 * @throws USAGE naming the flag
 */
export function refuseBadPlaces(flags: object): void {
  for (const [name, value] of Object.entries(flags) as [string, unknown][]) {
    for (const place of [value].flat()) {
      if (typeof place !== 'string') continue;
      if (['from', 'to'].includes(name)) {
        const problem = placeProblem(place);
        const hint = 'Use s3://bucket/prefix or a folder.';
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
