/** Servers with extensions of the tests beside the installed ones. */
import {execFileSync} from 'node:child_process';
import {chmod, copyFile, mkdir, readdir, symlink} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {tempFolder} from './run-cli.js';

/**
 * A copy of the server program in a folder tree of the same shape, so that it finds further extensions next to the installed ones: the
 * server locates its files relative to its program.
 * @param folder with the files of these extensions
 * @returns its folder of programs
 */
export async function installationWithExtensions(binFolder: string, folder: string): Promise<string> {
  const ask = (what: string): string =>
    execFileSync(join(binFolder, 'pg_config'), [`--${what}`], {encoding: 'utf8'}).trim();
  const root = await tempFolder();
  await chmod(root, 0o755); // the server runs under another account
  const own = (path: string): string => join(root, path);
  const [share, libraries] = [ask('sharedir'), ask('pkglibdir')];
  const extensions = join(share, 'extension');
  await mkdir(own(binFolder), {recursive: true});
  await mkdir(own(extensions), {recursive: true});
  await mkdir(dirname(own(libraries)), {recursive: true});
  await symlink(libraries, own(libraries));
  for (const name of ['postgres', 'initdb'])
    await copyFile(join(binFolder, name), own(join(binFolder, name)));
  const link = async (from: string, to: string): Promise<void> => {
    for (const name of await readdir(from)) {
      if (join(from, name) !== extensions) await symlink(join(from, name), join(to, name));
    }
  };
  await link(share, own(share));
  await link(extensions, own(extensions));
  // Copies instead of links: the account may not enter the folder of this project.
  for (const name of await readdir(folder)) await copyFile(join(folder, name), join(own(extensions), name));
  return own(binFolder);
}
