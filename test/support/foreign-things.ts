/** Things that are not regular files of the running user, to be placed at paths of the program's files. */
import {execFileSync} from 'node:child_process';
import {chown, lstat, mkdir, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {dirname, join} from 'node:path';

const isRoot = process.getuid?.() === 0;
const nobody = 65_534;

const servers: Server[] = [];

/** Closes the sockets. */
export async function closeThings(): Promise<void> {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
}

/** Creates each kind of thing at a path; `outside` contains a file "precious" and a folder "folder". */
export const foreignThings: Readonly<Record<string, (path: string, outside: string) => Promise<unknown>>> = {
  pipe: (path) => Promise.resolve(execFileSync('mkfifo', [path])),
  'link to a file': (path, outside) => symlink(join(outside, 'precious'), path),
  'link to a folder': (path, outside) => symlink(join(outside, 'folder'), path),
  socket: async (path) => {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  },
  'endless device': (path) =>
    isRoot
      ? Promise.resolve(execFileSync('mknod', [path, 'c', '1', '5'])) // /dev/zero
      : symlink('/dev/zero', path),
  'dangling link': (path, outside) => symlink(join(outside, 'new'), path),
  // Only root can give files away.
  ...(isRoot
    ? {
        "another user's file": async (path: string) => {
          await writeFile(path, '{"schemaVersion":1}', {mode: 0o666});
          await chown(path, nobody, nobody);
        },
        "another user's folder": async (path: string) => {
          await mkdir(path, {mode: 0o777});
          await writeFile(join(path, 'theirs'), 'theirs');
          await chown(join(path, 'theirs'), nobody, nobody);
          await chown(path, nobody, nobody);
        },
      }
    : {}),
};

/** Replaces the file at `path` by a thing. */
export async function plant(path: string, thing: string, outside: string): Promise<void> {
  await rm(path, {recursive: true, force: true});
  await mkdir(dirname(path), {recursive: true, mode: 0o700});
  await foreignThings[thing]?.(path, outside);
}

/** Kind, inode and owner of each path, and everything below `outside`: equal before and after if nothing was touched. */
export async function fingerprintOf(paths: readonly string[], outside: string): Promise<unknown> {
  const things = await Promise.all(
    paths.map(async (path) => {
      const {mode, ino, uid, size} = await lstat(path);
      return [path, mode, ino, uid, size];
    }),
  );
  const names = (await readdir(outside, {recursive: true, withFileTypes: true})).filter((one) =>
    one.isFile(),
  );
  const files = await Promise.all(
    names.map(async ({parentPath, name}) => [
      parentPath,
      name,
      await readFile(join(parentPath, name), 'utf8'),
    ]),
  );
  return {things, files: files.sort()};
}
