/** The result of `label` as lines: the label of the backup, and whether it is kept. */
import type {LabelResult, LabelState} from '../../services/by-id/label-backup.js';
import {printable, type Style} from './style.js';

export function showLabelled(result: LabelResult, style: Style): string[] {
  const {id, before, label, keep} = result;
  const isSame = before.label === label && before.keep === keep;
  return [
    `${style.bold(printable(id))} ${isSame ? 'already has' : 'has'} ${words(result)}${isSame ? '; nothing was changed' : ''}.`,
    ...(keep && !before.keep ? ['prune never removes it, and delete refuses it until label --no-keep.'] : []),
    ...(before.keep && !keep ? ['prune decides on it again.'] : []),
  ];
}

function words({label, keep}: LabelState): string {
  return `${label === null ? 'no label' : `the label "${printable(label)}"`}${keep ? ' and is kept' : ''}`;
}
