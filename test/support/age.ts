/** Keys made by Debian's age. */
import {execFileSync} from 'node:child_process';
import {requirePrograms} from './require-programs.js';

/** A new key, as written by age-keygen; returns its public half. */
export function makeKey(path: string): string {
  requirePrograms('age', 'age-keygen');
  execFileSync('age-keygen', ['-o', path], {stdio: 'ignore'});
  return execFileSync('age-keygen', ['-y', path], {encoding: 'utf8'}).trim();
}
