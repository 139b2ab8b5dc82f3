/** Takes a backup from any place into a folder here, where it can be read as if it had been made here. */
import {randomBytes} from 'node:crypto';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {metadataSuffix, partialSuffix} from '../backups/backup-name.js';
import {makePrivateFolder} from '../backups/safe-file.js';
import type {RunContext} from '../run-context.js';
import type {Settings} from '../settings/settings.js';
import {type OpeningKeys, readOpeningKeys} from '../storage/age-keys.js';
import {localPlace} from '../storage/local-place.js';
import type {Place} from '../storage/place.js';
import type {PlacedBackup} from '../storage/place-catalogue.js';
import {transferBackup} from '../storage/transfer-backup.js';
import {openJournal} from '../watch/journal.js';

/** Where a backup is taken from, and the files of what opens it; undefined where not given. */
export interface BackupSource {
  readonly from?: string | undefined;
  readonly identityFile?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

/** Keys of the flags, else of the config file. @throws READ_FAILED, USAGE */
export function keysOf(settings: Settings, source: BackupSource): Promise<OpeningKeys> {
  const {identityFile, passphraseFile} = settings.config.encryption ?? {};
  return readOpeningKeys(settings.cwd, {
    identityFile: source.identityFile ?? identityFile,
    passphraseFile: source.passphraseFile ?? passphraseFile,
  });
}

/**
 * Fetches, decrypts and checks the whole backup before `work` sees it, and removes it afterwards.
 * @param work is given the path of the metadata file in a folder of its own
 */
export async function withFetched<T>(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  work: (metadataPath: string) => Promise<T>,
): Promise<T> {
  return withFetchedFolder(context, async (folder) => {
    await context.progress.step(`Fetch ${backup.id}`, (step) =>
      transferBackup(context, {
        from: place,
        backup,
        to: localPlace(folder),
        keys,
        onBytes: (done, total) => step.advance(done, total, 'bytes'),
      }),
    );
    return work(join(folder, backup.id + metadataSuffix));
  });
}

/** A folder in the backups folder for `work` alone: gone afterwards, and known to `recover` if this run is killed. */
export async function withFetchedFolder<T>(
  context: RunContext,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = join(
    context.settings.backupsDir,
    `fetched-${randomBytes(4).toString('hex')}${partialSuffix}`,
  );
  const journal = openJournal(context, 'fetch');
  const removed = await journal.begin({kind: 'partial', path: folder});
  try {
    await makePrivateFolder(folder);
    return await work(folder);
  } finally {
    await rm(folder, {recursive: true, force: true});
    await removed();
    await journal.close();
  }
}
