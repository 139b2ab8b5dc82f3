/** Restores a backup from any location, encrypted or not, and from a plain local copy if the strategy needs one. */
import {basename, dirname, join, resolve} from 'node:path';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {shellCommand} from '../../base/shell-quote.js';
import {type Backup, isRecorded} from '../../catalog/catalogue.js';
import {readGlobals} from '../../dump/roles-file.js';
import type {ProofLevel} from '../../run/check-outcome.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {decryptStream} from '../../encryption/age-stream.js';
import {chooseOwnIfKnown} from '../../storage/choose-backup.js';
import {localPlace} from '../../storage/local-place.js';
import {openSource} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {readRoles} from '../../storage/read-roles.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {
  type BackupSource,
  isEncrypted,
  placeOf,
  withFetchedFolder,
  withPlain,
} from '../../storage/fetch-backup.js';
import {keysOf} from '../../encryption/settings.js';
import {ageFileSource, canStream, placedSource} from './remote-source.js';
import {restoreDatabase, type RestoreResult} from './execute.js';
import type {BeforeSwap} from './plan.js';
import {checkRestoreRequest, type RestoreRequest} from './options.js';

/**
 * @param beforeSwap the work of another command on the new database
 * @throws the errors of `restoreDatabase`, and before a database is touched KEY_NEEDED, DECRYPT_FAILED and the codes of the locations
 */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  asked: RestoreRequest,
  beforeSwap?: BeforeSwap,
): Promise<RestoreResult> {
  checkRestoreRequest(asked);
  const {settings} = context;
  const keys = await keysOf(context, source);
  const place = await openSource(settings, source.from);
  const backup = await chooseOwnIfKnown(context, place, asked, source.from);
  const named = asked.withRoles === true ? await withGlobals(context, asked, {place, backup, keys}) : asked;
  if (!backup) {
    const path = resolve(settings.cwd, named.backupFile ?? '');
    const isAgeFile = path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)));
    if (isAgeFile) return restoreAgeFile(context, keys, named, path, beforeSwap); // verify needs its metadata
    const request = {...named, checkCommand: checkCommand(named, [path], 'restore', beforeSwap)};
    return restoreDatabase(context, request, undefined, beforeSwap);
  }
  const request = {...named, checkCommand: checkOf(named, source, {place, backup}, beforeSwap)};
  const isReadable = place.isOnThisMachine && !isEncrypted(backup);
  if (!isReadable && isRecorded(backup) && canStream(backup.format, request)) {
    const stored = placeOf(place, backup);
    const streamed = await placedSource(context, stored, backup, keys);
    return restoreDatabase(context, request, streamed, beforeSwap);
  }
  const result = await withPlain(context, place, backup, keys, ({metadataPath}) =>
    restoreDatabase(
      context,
      defined({...request, backupFile: metadataPath, isLatest: undefined, at: undefined}),
      undefined,
      beforeSwap,
    ),
  );
  return {...result, backupPath: backup.path};
}

/** The command that checks a backup, which may be outside the location if a path named it. */
function checkOf(
  request: RestoreRequest,
  {from, identityFile, passphraseFile}: BackupSource,
  {place, backup}: {readonly place: Place; readonly backup: Backup},
  beforeSwap: BeforeSwap | undefined,
): string {
  const isOutside = place.isOnThisMachine && dirname(backup.path) !== place.url;
  const words = [
    ...(isOutside ? [backup.path] : [backup.id, ...flag('--from', from)]),
    ...flag('--identity', identityFile),
    ...flag('--passphrase-file', passphraseFile),
  ];
  return checkCommand(request, words, backup.content === 'data' ? 'archive' : 'restore', beforeSwap);
}

function checkCommand(
  {command = (id) => ['destino-db', id]}: RestoreRequest,
  backup: readonly string[],
  level: ProofLevel,
  beforeSwap: BeforeSwap | undefined,
): string {
  const words = shellCommand([...command('verify'), ...backup, '--level', level]);
  return [words, beforeSwap?.scratchFlags].filter(Boolean).join(' ');
}

function flag(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value];
}

/** The request with the roles of the backup. @throws USAGE if it has none, METADATA_INVALID, and the errors of `readRoles` */
async function withGlobals(
  context: RunContext,
  request: RestoreRequest,
  {place, backup, keys}: {place: Place; backup: Backup | undefined; keys: OpeningKeys},
): Promise<RestoreRequest> {
  const text =
    backup && isRecorded(backup) ? await readRoles(context, placeOf(place, backup), backup, keys) : undefined;
  const id = backup?.id ?? request.backupFile ?? '';
  if (text === undefined)
    throw new AppError('USAGE', `${id} has no file of roles. Nothing was changed.`, {
      hint: 'Leave out --with-roles: the roles that the database needs are created anyway. Backups have the file with: destino-db backup --with-roles',
    });
  return {...request, globals: readGlobals(text, id)};
}

/** Restores a dump that was encrypted with the age tool, after it was decrypted to its last chunk. */
async function restoreAgeFile(
  context: RunContext,
  keys: OpeningKeys,
  request: RestoreRequest,
  path: string,
  beforeSwap: BeforeSwap | undefined,
): Promise<RestoreResult> {
  if (canStream('custom', request)) {
    context.warn(`${path} has no metadata, so only its completeness can be checked, not its checksums.`);
    return restoreDatabase(
      context,
      request,
      await ageFileSource(context, localPlace(dirname(path)), path, keys),
      beforeSwap,
    );
  }
  return withFetchedFolder(context, async (folder) => {
    const plain = join(folder, basename(path, ageSuffix));
    await context.progress.step('Decrypt', async () => {
      const place = localPlace(dirname(path));
      const encrypted = (await place.read(basename(path), context.signal)) as AsyncIterable<Buffer>;
      await localPlace(folder).write(basename(plain), decryptStream(encrypted, keys), {
        signal: context.signal,
      });
    });
    const result = await restoreDatabase(context, {...request, backupFile: plain}, undefined, beforeSwap);
    return {...result, backupPath: path};
  });
}
