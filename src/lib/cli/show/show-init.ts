/** The files that `init` wrote, as lines. */
import type {InitAnswers, InitResult} from '../../services/init/init-project.js';
import {shellCommand} from '../../base/shell-quote.js';
import {printable, type Style} from './style.js';

/** @param repeat the command that writes what a dry run shows */
export function showInit(result: InitResult, repeat: string, style: Style): string[] {
  const isDryRun = result.mode === 'dry-run';
  const isChanged = result.files.some((file) => file.state !== 'unchanged');
  return [
    ...result.files.flatMap(({path, state, notes, changes}) => [
      `${state === 'unchanged' ? style.dim('unchanged') : style.bold(`${isDryRun ? 'would be ' : ''}${state}`)}  ${printable(path)}`,
      ...notes.map((note) => `  ${printable(note)}`),
      ...(isDryRun ? changes.map((line) => style.dim(`  ${printable(line)}`)) : []),
    ]),
    '',
    style.bold('Next:'),
    ...(isDryRun && isChanged ? [`  ${repeat}`] : []),
    '  destino-db doctor     # is everything there: connection, tools, rights, disk',
    '  destino-db backup     # the first backup',
    '  destino-db schedule   # the plan and how to install it',
  ];
}

/** The command that gives the same answers without a question. */
export function initCommand(
  bin: string,
  answers: InitAnswers,
  defaults: InitAnswers,
  isForced: boolean,
): string {
  const {keepDays, timeZone} = answers;
  const plan = answers.plan.join('; ');
  return shellCommand([
    bin,
    'init',
    '--yes',
    ...(isForced ? ['--force'] : []),
    ...(answers.backupsDir === defaults.backupsDir ? [] : [`--backups-dir=${answers.backupsDir}`]),
    ...(answers.format === defaults.format ? [] : [`--format=${answers.format}`]),
    ...(keepDays === undefined ? [] : [`--keep-days=${keepDays}`]),
    ...answers.productionHosts.map((host) => `--production-host=${host}`),
    ...answers.productionDatabases.map((name) => `--production-database=${name}`),
    ...(plan === defaults.plan.join('; ') ? [] : [`--plan=${plan}`]),
    ...(timeZone === undefined ? [] : [`--time-zone=${timeZone}`]),
    ...(answers.places ?? []).map((place) => `--to=${place}`),
    ...(answers.recipients ?? []).map((key) => `--encrypt-to=${key}`),
  ]);
}
