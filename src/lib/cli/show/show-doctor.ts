/** Doctor's findings: a line for each check, how to fix what failed below it, then which commands work. */
import type {DoctorResult} from '../../services/doctor/doctor.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showDoctor(result: DoctorResult, style: Style): string[] {
  const marks = {ok: style.green('ok'), warning: style.bold('warn'), failed: style.red('FAIL')};
  const lines = table(
    result.checks.flatMap((check) => [
      [
        check.ok ? marks.ok : check.needed ? marks.failed : marks.warning,
        check.name,
        printable(check.message),
      ],
      ...(check.hint === null ? [] : [['', '', `${style.bold('Fix:')} ${printable(check.hint)}`]]),
    ]),
    style,
  );
  const failures = result.checks.filter((check) => !check.ok && check.needed).length;
  return [
    ...lines,
    '',
    style.bold('Settings'),
    ...table(
      result.settings.map(({name, value, origin}) => [name, printable(value), style.dim(printable(origin))]),
      style,
      {indent: 2},
    ),
    '',
    style.bold('Commands that will work'),
    ...table(
      result.commands.map(({command, works, because}) => [
        command,
        works ? style.green('yes') : `${style.red('no')}: ${because.join(', ')}`,
      ]),
      style,
      {indent: 2},
    ),
    '',
    result.ok
      ? `${style.bold('Everything needed is here.')} ${style.bold('Next:')} destino-db backup`
      : `${failures} needed ${failures === 1 ? 'check' : 'checks'} failed; fix ${failures === 1 ? 'it' : 'them from the top'}, then run doctor again.`,
  ];
}
