// Runs npm scripts side by side, two at a time, and shows what each said when it has ended; fails when any of them fails.
// usage: node scripts/check.mjs SCRIPT...
import {execa} from 'execa';

const pending = process.argv.slice(2);
async function runNext() {
  for (let script = pending.shift(); script !== undefined; script = pending.shift()) {
    const {all, failed} = await execa('npm', ['run', '--silent', script], {all: true, reject: false});
    process.stdout.write(`${script}: ${failed ? 'failed' : 'passed'}\n${all === '' ? '' : `${all}\n`}`);
    if (failed) process.exitCode = 1;
  }
}
await Promise.all([runNext(), runNext()]);
