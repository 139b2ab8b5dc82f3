/** Keys as Debian's age makes them. */
import {execFileSync} from 'node:child_process';

/** A new key, as age-keygen writes it; returns its public half. */
export function makeKey(path: string): string {
  execFileSync('age-keygen', ['-o', path], {stdio: 'ignore'});
  return execFileSync('age-keygen', ['-y', path], {encoding: 'utf8'}).trim();
}
