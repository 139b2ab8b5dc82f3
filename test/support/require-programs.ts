/** External programs for tests: each test file requests those that it needs, independently of others. */
import {execFileSync} from 'node:child_process';
import {accessSync, constants} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const script = fileURLToPath(new URL('../../scripts/install-programs.sh', import.meta.url));

/**
 * Makes programs available, by their names in scripts/install-programs.sh. If this fails, says how to install them:
 * a test that needs them is never skipped.
 */
export function requirePrograms(...names: readonly string[]): void {
  const missing = names.filter((name) => !isInPath(name));
  // Standard output belongs to the test runner's reports.
  if (missing.length > 0)
    execFileSync('bash', [script, ...missing], {stdio: ['ignore', 'ignore', 'inherit']});
}

function isInPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
