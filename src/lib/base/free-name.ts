/** Names for runs that begin in the same second and do not wait for each other. */
import {rm} from 'node:fs/promises';
import {claimSuffix, numberedName} from './file-names.js';
import {reserveFile} from './safe-file.js';

/**
 * Passes the first free one of `first`, `first-2`, `first-3` to `take`. The exclusive creation of a file beside it decides between runs
 * that want the same name at once.
 * @param first a path without an extension
 * @param isTaken whether a file has the name, with any extension that counts; the name may be taken while it looks
 * @param take creates a file that `isTaken` finds
 * @throws the errors of `take` and `isTaken`; DISK_FULL, FOLDER_NOT_WRITABLE, WRITE_FAILED
 */
export async function takeFreeName<T>(
  first: string,
  isTaken: (name: string) => Promise<boolean>,
  take: (name: string) => Promise<T>,
): Promise<T> {
  for (let number = 1; ; number += 1) {
    const name = numberedName(first, number);
    const claim = `${name}${claimSuffix}`;
    if ((await isTaken(name)) || !(await reserveFile(claim))) continue;
    try {
      // Another run may have taken it just before the claim.
      if (!(await isTaken(name))) return await take(name);
    } finally {
      await rm(claim, {force: true}).catch(() => undefined); // `recover` removes it
    }
  }
}
