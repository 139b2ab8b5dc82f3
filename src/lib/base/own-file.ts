/**
 * Opens files in the backups folder: regular files of the user who runs this program, never through a link.
 * In a folder that others can write, a file's name says nothing about its origin.
 */
import {constants, fstatSync, type Stats} from 'node:fs';
import {type FileHandle, lstat, open, readdir, realpath, stat, statfs} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {dirname, join} from 'node:path';
import {AppError, messageOf, systemErrorCode} from './errors.js';
import {someOf} from './some-of.js';

/**
 * File systems that report one owner for all files, or not the user who wrote the file: NFS, CIFS, SMB2, FUSE, 9P (WSL, gVisor),
 * VirtualBox and virtiofs (statfs(2)). There the owner of the folder counts.
 */
const ownerMappingFileSystems = new Set([
  0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x786f4256, 0x6a656a63,
]);

type Kind = 'file' | 'folder';

/**
 * Why this program refuses to use `path`, as a phrase after "it": "is a symbolic link"; undefined if it is a file or folder of the
 * running user, or of root, who could change everything anyway.
 * @throws the file system's error when the path is missing or not accessible
 */
export async function whyForeign(
  path: string,
  kind: Kind,
  userId: number | undefined = process.getuid?.(),
): Promise<string | undefined> {
  return reasonOf(path, await lstat(path), kind, userId);
}

async function reasonOf(
  path: string,
  status: Stats,
  kind: Kind,
  userId: number | undefined = process.getuid?.(),
): Promise<string | undefined> {
  const wrongKind = reasonOfKind(status, kind);
  if (wrongKind !== undefined) return wrongKind;
  if (userId === undefined || status.uid === userId || status.uid === 0) return undefined; // Windows has no user ids
  return (await isMappedOwner(path, status.uid)) ? undefined : `belongs to another user (uid ${status.uid})`;
}

function reasonOfKind(status: Stats, kind: Kind): string | undefined {
  if (kind === 'file' ? status.isFile() : status.isDirectory()) return undefined;
  if (status.isSymbolicLink()) return 'is a symbolic link';
  if (status.isFile()) return 'is a file';
  if (status.isDirectory()) return 'is a folder';
  if (status.isFIFO()) return 'is a pipe';
  if (status.isSocket()) return 'is a socket';
  return 'is a device';
}

async function isMappedOwner(path: string, uid: number): Promise<boolean> {
  const folder = dirname(path);
  try {
    const [{type}, {uid: folderUid}] = [await statfs(folder), await stat(folder)];
    return ownerMappingFileSystems.has(type) && folderUid === uid;
  } catch {
    return false; // the folder's owner cannot be read
  }
}

/** The error for a file that this program refuses to use. @param reason from `whyForeign` */
export function foreignFile(path: string, reason: string): AppError {
  return new AppError('FOREIGN_FILE', `${path} ${reason}; it was left unchanged.`, {
    hint: `Move it away, or choose another folder with --backups-dir: destino-db (running as ${accountName()}) uses only regular files of its own user.`,
  });
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`; // no entry in the password file
  }
}

/**
 * Opens a regular file of the running user. A link is not followed and a pipe does not block.
 * @param flags of open(2), as `O_RDONLY`; with `O_CREAT` a missing file is created (0600)
 * @throws FOREIGN_FILE; the file system's error
 */
export async function openOwnFile(path: string, flags: number = constants.O_RDONLY): Promise<FileHandle> {
  const check = (status: Stats): Promise<string | undefined> => reasonOf(path, status, 'file');
  // This check avoids opening a device at all; the check after opening decides.
  const before = await lstat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT' && (flags & constants.O_CREAT) !== 0) return undefined;
    throw error;
  });
  const reason = before && (await check(before));
  if (reason !== undefined) throw foreignFile(path, reason);
  return openChecked(path, flags | constants.O_NOFOLLOW, check);
}

/**
 * Opens a regular file for reading, owned by any user. A pipe does not block.
 * @param isLinkFollowed for paths given by the user
 * @throws READ_FAILED for a pipe, a device, a folder or a link; the file system's error
 */
export async function openRegularFile(path: string, isLinkFollowed = true): Promise<FileHandle> {
  const check = (status: Stats): Promise<undefined> => {
    const reason = reasonOfKind(status, 'file');
    if (reason === undefined) return Promise.resolve(undefined);
    throw new AppError('READ_FAILED', `Cannot read ${path}: it ${reason}.`);
  };
  await check(await (isLinkFollowed ? stat(path) : lstat(path)));
  return openChecked(path, constants.O_RDONLY | (isLinkFollowed ? 0 : constants.O_NOFOLLOW), check);
}

async function openChecked(
  path: string,
  flags: number,
  check: (status: Stats) => Promise<string | undefined>,
): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, flags | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    if (systemErrorCode(error) === 'ELOOP') throw foreignFile(path, 'is a symbolic link');
    if (systemErrorCode(error) === 'ENXIO') throw foreignFile(path, 'is a pipe or a socket');
    throw error;
  }
  try {
    // Opening has fetched it; to ask for it in another thread takes ten times as long.
    const reason = await check(fstatSync(file.fd));
    if (reason !== undefined) throw foreignFile(path, reason);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The text of a regular file of the running user. @throws FOREIGN_FILE; the file system's error */
export async function readOwnFile(path: string): Promise<string> {
  const file = await openOwnFile(path);
  try {
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** @throws FOREIGN_FILE when `path` is not a folder of the running user; the file system's error */
export async function requireOwnFolder(path: string): Promise<void> {
  const reason = await whyForeign(path, 'folder');
  if (reason !== undefined) throw foreignFile(path, reason);
}

/**
 * Checks a folder that the user names, or that contains backups only. It may be a link to another disk, if the running user
 * or root made the link, the folder belongs to one of them, and not everybody can write to it.
 * A missing folder passes; the code that creates it checks it.
 * @throws FOREIGN_FILE
 */
export async function requireTrustedFolder(path: string): Promise<void> {
  let link: Stats;
  let target: Stats;
  try {
    [link, target] = [await lstat(path), await stat(path)];
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return;
    return; // the code that uses the folder reports the same error, with its purpose
  }
  if (!link.isSymbolicLink()) return;
  const userId = process.getuid?.();
  const isOurs = ({uid}: Stats): boolean => userId === undefined || uid === userId || uid === 0;
  if (!isOurs(link)) throw foreignFile(path, `is a link of another user (uid ${link.uid})`);
  if (!isOurs(target) && !(await isMappedOwner(join(path, '.'), target.uid)))
    throw foreignFile(path, `is a link to a folder of another user (uid ${target.uid})`);
  if ((target.mode & 0o002) !== 0) throw foreignFile(path, 'is a link to a folder that everybody can write');
}

export interface OwnEntries {
  /** Names given by this program that are files of the running user, sorted. */
  readonly names: readonly string[];
  /** Other entries of the folder, a phrase each: "notes.txt", "x.json (is a link)". */
  readonly foreign: readonly string[];
}

/**
 * Lists a folder of bookkeeping. A missing folder is empty; a folder of another user is one foreign entry.
 * @param isOurName whether this program gives such a name
 * @throws the file system's error
 */
export async function ownEntries(folder: string, isOurName: (name: string) => boolean): Promise<OwnEntries> {
  let entries: string[];
  try {
    const reason = await whyForeign(folder, 'folder');
    if (reason !== undefined) return {names: [], foreign: [`${folder} ${reason}`]};
    entries = (await readdir(folder)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {names: [], foreign: []};
    throw error;
  }
  const names: string[] = [];
  const foreign: string[] = [];
  for (const name of entries) {
    const path = join(folder, name);
    if (!isOurName(name)) {
      foreign.push(path);
      continue;
    }
    const reason = await whyForeign(path, 'file').catch(() => null); // removed meanwhile
    if (reason === undefined) names.push(name);
    else if (reason !== null) foreign.push(`${path} ${reason}`);
  }
  return {names, foreign};
}

/** One warning for all foreign files, or none. */
export function foreignNote(foreign: readonly string[]): string[] {
  if (foreign.length === 0) return [];
  return [`Left unchanged, because this program did not create it: ${someOf(foreign, 5).join(', ')}.`];
}

/**
 * Requires that a dump is stored in the folder of its metadata: links must not lead out of the folder.
 * @param isOwn whether it must belong to the running user too
 * @throws BACKUP_INCOMPLETE when it is missing, METADATA_INVALID when it is a link to another folder or neither file nor folder, FOREIGN_FILE
 */
export async function requireOwnDump(path: string, isOwn: boolean): Promise<void> {
  let real = path;
  let status: Stats;
  try {
    status = await lstat(path);
    if (status.isSymbolicLink()) {
      status = await stat(path);
      real = await realpath(path);
    }
  } catch (error) {
    throw new AppError('BACKUP_INCOMPLETE', `The dump ${path} is missing: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  if (real !== path && dirname(real) !== (await realpath(dirname(path)))) {
    throw new AppError('METADATA_INVALID', `The dump ${path} is a link that leads out of its folder.`);
  }
  // Opening a pipe could block for ever.
  if (!status.isFile() && !status.isDirectory())
    throw new AppError('METADATA_INVALID', `The dump ${path} is neither a file nor a folder.`);
  const reason = isOwn ? await reasonOf(real, status, status.isDirectory() ? 'folder' : 'file') : undefined;
  if (reason !== undefined) throw foreignFile(real, reason);
}
