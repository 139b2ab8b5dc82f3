/** Where an account's own files are. */
import {homedir, userInfo} from 'node:os';
import {isAbsolute} from 'node:path';

/** HOME, or the account's entry where it is unset or empty, as libpq does; undefined for an account without either. */
export function homeFolder(): string | undefined {
  try {
    const home = homedir();
    return isAbsolute(home) ? home : userInfo().homedir;
  } catch {
    return undefined; // an account without an entry, as in some containers
  }
}
