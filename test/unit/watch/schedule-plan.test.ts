/** What each word of a plan runs: nobody is there to answer a question or to see that it ran something else. */
import {expect, it} from 'vitest';
import {parsePlan} from '../../../src/lib/watch/schedule-plan.js';

it.each([
  ['custom', 'backup --format=custom'],
  ['sql', 'backup --format=sql'],
  ['directory', 'backup --format=directory'],
  ['schema', 'backup --schema-only --format=sql'],
  ['restore test', 'verify --latest --level=restore'],
  ['archive test', 'verify --latest --level=archive'],
  ['checksum test', 'verify --latest --level=checksum'],
  ['prune', 'prune --yes'],
  ['status', 'status'],
  ['report', 'report'],
])('%s is destino-db %s', (words, command) => {
  expect(parsePlan([`daily ${words}`])[0]?.args.join(' ')).toBe(command);
});
