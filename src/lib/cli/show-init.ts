/** What init wrote, as lines. */
import type {InitResult} from '../services/init-project.js';
import {printable, type Style} from './style.js';

export function showInit(result: InitResult, style: Style): string[] {
  const would = result.mode === 'dry-run' ? 'would be ' : '';
  const isChanged = result.files.some((file) => file.state !== 'unchanged');
  return [
    ...result.files.flatMap(({path, state, notes}) => [
      `${state === 'unchanged' ? style.dim('unchanged') : style.bold(`${would}${state}`)}  ${printable(path)}`,
      ...notes.map((note) => `  ${printable(note)}`),
    ]),
    '',
    style.bold('Next:'),
    ...(result.mode === 'dry-run' && isChanged ? ['  destino-db init'] : []),
    '  destino-db doctor     # is everything there: connection, tools, rights, disk',
    '  destino-db backup     # the first backup',
    '  destino-db schedule   # the plan and how to install it',
  ];
}
