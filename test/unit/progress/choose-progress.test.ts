import {expect, it} from 'vitest';
import {chooseProgress, type ProgressSituation} from '../../../src/lib/progress/choose-progress.js';

const terminal: ProgressSituation = {
  isJson: false,
  isQuiet: false,
  isTerminal: true,
  columns: 80,
  environment: {},
};

it.each<[string, Partial<ProgressSituation>, string]>([
  ['a terminal shows the live list', {}, 'list'],
  ['a pipe gets lines', {isTerminal: false, columns: undefined}, 'lines'],
  ['a terminal without width gets lines', {columns: 0}, 'lines'],
  ['CI gets lines even on a terminal', {environment: {CI: 'true'}}, 'lines'],
  ['an empty CI variable counts as unset', {environment: {CI: ''}}, 'list'],
  ['a dumb terminal gets lines', {environment: {TERM: 'dumb'}}, 'lines'],
  [
    'a terminal of another character set gets lines',
    {environment: {LC_ALL: 'C', LANG: 'de_DE.UTF-8'}},
    'lines',
  ],
  ['a UTF-8 terminal shows the live list', {environment: {LC_ALL: '', LANG: 'C.utf8'}}, 'list'],
  ['--json is silent', {isJson: true}, 'silent'],
  ['--quiet is silent in a pipe too', {isQuiet: true, isTerminal: false}, 'silent'],
])('%s', (_name, changes, expected) => {
  expect(chooseProgress({...terminal, ...changes})).toBe(expected);
});
