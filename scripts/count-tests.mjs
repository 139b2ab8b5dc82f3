// Prints "N passed, N failed" from vitest's JSON report; exits with 1 when anything failed.
// usage: count-tests.mjs STATUS [REPORT], STATUS being the exit status of the whole test command
import {readFileSync} from 'node:fs';

const [status = '0', report = 'test-results/vitest.json'] = process.argv.slice(2);
let [passed, failed] = [0, 0];
try {
  for (const file of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    const count = (wanted) => file.assertionResults.filter((test) => test.status === wanted).length;
    passed += count('passed');
    // A file that breaks before its first test has no results of its own.
    failed += count('failed') || (file.status === 'failed' ? 1 : 0);
  }
} catch {
  // no report: a step before the tests failed, which the status tells
}
if (status !== '0' && failed === 0) failed = 1;
if (status === '0' && passed === 0) failed += 1; // "all is well" with no test run would be a lie
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
