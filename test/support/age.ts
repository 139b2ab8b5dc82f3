/** Keys as Debian's age makes them. */
import {execFileSync} from 'node:child_process';
import {requirePrograms} from './require-programs.js';

/** A new key, as age-keygen writes it; returns its public half. */
export function makeKey(path: string): string {
  requirePrograms('age', 'age-keygen');
  execFileSync('age-keygen', ['-o', path], {stdio: 'ignore'});
  return execFileSync('age-keygen', ['-y', path], {encoding: 'utf8'}).trim();
}
