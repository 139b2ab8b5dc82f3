/** Programs from outside that some tests run: found, or installed by the project's own script. */
import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

const script = fileURLToPath(new URL('../../scripts/install-test-tools.sh', import.meta.url));

/** Makes promtool, age, script and their like available on PATH; fails, saying how to install them, where it cannot. */
export function requireTestTools(): void {
  execFileSync('bash', [script], {stdio: 'inherit'});
}
