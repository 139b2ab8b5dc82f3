/** The outcome of `verify` as lines. */
import {countOf, formatDuration} from '../../base/format.js';
import {describeChecks} from '../../run/data-checks.js';
import type {LiveChecks} from '../../services/verify/check-live.js';
import type {VerifiedBackup, VerifyResult} from '../../services/verify/verify.js';
import {shellCommand} from '../../base/shell-quote.js';
import type {SeveralView} from './show-several.js';
import {printable, type Style} from './style.js';

const passedTexts: Readonly<Record<VerifiedBackup['level'], string>> = {
  checksum: 'every byte is as it was written',
  archive: 'every row read, counts and fingerprints as recorded',
  restore: 'restored, every row equal',
};

/**
 * One line per backup, what is wrong below it, and what to do next.
 * @param from the flags that say where the backups are, the settings' among them, and their keys
 */
export function showVerified(from: VerifiedFrom): (result: VerifyResult, style: Style) => string[] {
  return ({results, live}, style) => (live ? liveLines(live, style) : linesOf(results, from, style));
}

/** Checks of several databases, a row each. */
export const severalVerified: SeveralView<VerifyResult> = {
  head: ['BACKUP', 'CHECK', 'OUTCOME', 'TOOK'],
  right: [4],
  cells: ({results, live}, style) => {
    const outcomes = [...results.map(({outcome}) => outcome), ...(live ? [live.outcome] : [])];
    const worst = (['failed', 'not-possible'] as const).find((one) => outcomes.includes(one));
    const [first] = results;
    return [
      results.length === 1 ? (first?.id ?? '') : countOf(results.length, 'backup'),
      first?.level ?? 'live',
      worst === undefined ? style.green('passed') : worst === 'failed' ? style.red('FAILED') : 'not possible',
      formatDuration(results.reduce((sum, {duration}) => sum + duration, 0)),
    ];
  },
  done: () => 'passed',
};

export interface VerifiedFrom {
  readonly place: readonly string[];
  readonly keys: readonly string[];
}

function linesOf(results: readonly VerifiedBackup[], from: VerifiedFrom, style: Style): string[] {
  const passed = results.filter(({ok}) => ok).length;
  const untested = results.filter(({outcome}) => outcome === 'not-possible').length;
  const rest = untested === 0 ? '' : `, ${untested} could not be checked here`;
  return [
    ...results.flatMap((result) => describe(result, style)),
    ...(results.length > 1 ? ['', `${passed} of ${countOf(results.length, 'backup')} passed${rest}.`] : []),
    ...next(results, from, style),
  ];
}

function describe(result: VerifiedBackup, style: Style): string[] {
  return [
    headOf(result, style),
    ...result.findings.map((finding) => `      ${printable(finding)}`),
    ...(result.hint === null
      ? []
      : [
          `      ${style.bold(result.checks.length > 0 ? 'Next step:' : 'To make it possible:')} ${printable(result.hint)}`,
        ]),
    ...result.notes.map((note) => `      ${style.bold('Note:')} ${printable(note)}`),
  ];
}

function liveLines({database, host, port, outcome, checks}: LiveChecks, style: Style): string[] {
  const heads = {
    passed: `${style.green('ok')}  `,
    failed: style.red('FAIL'),
    'not-possible': style.bold('skip'),
  };
  return [
    `${heads[outcome]}  ${printable(database)} at ${printable(host)}:${port}${checked(checks)}`,
    ...describeChecks(checks).map((line) => `      ${printable(line)}`),
  ];
}

function headOf(result: VerifiedBackup, style: Style): string {
  const {id, level, outcome, duration, rows, restoreDuration, checks} = result;
  const took = formatDuration(duration);
  const read = rows === null ? '' : `, ${countOf(rows, 'row')}`;
  const restored = restoreDuration === null ? '' : ` (restore ${formatDuration(restoreDuration)})`;
  if (outcome === 'passed')
    return `${style.green('ok')}    ${id}: ${passedTexts[level]}${read}${checked(checks)}, in ${took}${restored}`;
  if (checks.length > 0) {
    const head = outcome === 'failed' ? style.red('FAIL') : style.bold('skip');
    return `${head}  ${id}: the backup is intact (${passedTexts[level]})${checked(checks)}`;
  }
  if (outcome === 'failed') return `${style.red('FAIL')}  ${id}: failed the check by ${level}, after ${took}`;
  return `${style.bold('skip')}  ${id}: the check by ${level} is not possible here; this says nothing about the backup`;
}

/** ", 2 of 3 checks passed" */
function checked(checks: VerifiedBackup['checks']): string {
  const passed = checks.filter(({outcome}) => outcome === 'passed').length;
  return checks.length === 0 ? '' : `, ${passed} of ${countOf(checks.length, 'check')} passed`;
}

function next(results: readonly VerifiedBackup[], {place, keys}: VerifiedFrom, style: Style): string[] {
  if (results.some(({outcome, code}) => outcome === 'failed' && code !== 'CHECK_FAILED'))
    return [
      '',
      `${style.bold('Next:')} ${printable(shellCommand(['destino-db', 'list', ...place]))}   (shows the newest usable backup), then destino-db backup`,
    ];
  const [only] = results;
  if (results.length !== 1 || !only?.ok || only.level === 'restore' || only.content !== 'whole') return [];
  const words = ['verify', only.id, ...place, '--level', 'restore', ...keys];
  return [
    '',
    `${style.bold('Next:')} ${printable(shellCommand(['destino-db', ...words]))}   (tests it with a restore)`,
  ];
}
