/** The folder for data that only saves time. */
import {isAbsolute, join} from 'node:path';
import {homeFolder} from './home-folder.js';

/**
 * The user's cache folder of this program (XDG Base Directory Specification); undefined without a home folder. It may not exist.
 * @param wanted XDG_CACHE_HOME, which counts only if it is absolute
 */
export function cacheFolder(wanted: string | undefined): string | undefined {
  const home = homeFolder();
  const own = home === undefined ? undefined : join(home, '.cache');
  const folder = wanted !== undefined && isAbsolute(wanted) ? wanted : own;
  return folder === undefined ? undefined : join(folder, 'destino-db');
}
