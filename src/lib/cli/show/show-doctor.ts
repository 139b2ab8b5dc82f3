/** Doctor's findings: a line for each check, the fix under each that failed, then what will work. */
import type {DoctorResult} from '../../services/doctor/doctor.js';
import {columns, printable, type Style} from './style.js';

export function showDoctor(result: DoctorResult, style: Style): string[] {
  const marks = {ok: style.green('ok  '), warning: style.bold('warn'), failed: style.red('FAIL')};
  const width = Math.max(...result.checks.map((check) => check.name.length));
  const lines = result.checks.flatMap((check) => {
    const mark = check.ok ? marks.ok : check.needed ? marks.failed : marks.warning;
    const line = `${mark}  ${check.name.padEnd(width)}  ${printable(check.message)}`;
    return check.hint === null
      ? [line]
      : [line, `${' '.repeat(width + 8)}${style.bold('Fix:')} ${printable(check.hint)}`];
  });
  const failures = result.checks.filter((check) => !check.ok && check.needed).length;
  return [
    ...lines,
    '',
    style.bold('Settings'),
    ...columns(
      result.settings.map(({name, value, origin}) => [
        `  ${name}`,
        printable(value),
        style.dim(printable(origin)),
      ]),
    ),
    '',
    style.bold('What will work'),
    ...columns(
      result.commands.map(({command, works, because}) => [
        `  ${command}`,
        works ? style.green('yes') : `${style.red('no')}: ${because.join(', ')}`,
      ]),
    ),
    '',
    result.ok
      ? `${style.bold('All that is needed is there.')} ${style.bold('Next:')} destino-db backup`
      : `${failures} needed ${failures === 1 ? 'check' : 'checks'} failed; fix them from the top, then run doctor again.`,
  ];
}
