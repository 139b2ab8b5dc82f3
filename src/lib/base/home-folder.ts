/** The home folder of the running user. */
import {homedir, userInfo} from 'node:os';
import {isAbsolute} from 'node:path';

/** HOME, or the password file's entry where HOME is unset or empty, as libpq does; undefined where both are missing. */
export function homeFolder(): string | undefined {
  try {
    const home = homedir();
    return isAbsolute(home) ? home : userInfo().homedir;
  } catch {
    return undefined; // the user has no entry, as in some containers
  }
}
