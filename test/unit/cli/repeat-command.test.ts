import {expect, it} from 'vitest';
import {repeatCommand, withoutArgument} from '../../../src/lib/cli/repeat-command.js';

const repeat = (line: string, added: string[] = [], replaced: string[] = []): string =>
  repeatCommand('destino-db', 'restore', line.split(' '), added, replaced);

it('repeats what was given without the flags of a preview', () => {
  expect(repeat('--dry-run --details --json --clean -n')).toBe('destino-db restore --clean');
});

it('replaces flags, however their values are written', () => {
  const added = ['--backup-file', 'shop 1'];
  const expected = "destino-db restore --target-db copy --backup-file 'shop 1'";
  expect(repeat('--at 2026-11-25 --target-db copy', added, ['--at'])).toBe(expected);
  expect(repeat('--at=2026-11-25 --target-db copy', added, ['--at'])).toBe(expected);
});

it('takes out the argument, and not the value of a flag that is spelled like it', () => {
  const flags = {
    'target-db': {type: 'option'},
    output: {type: 'option', char: 'o'},
    clean: {type: 'boolean'},
  };
  const rest = (line: string): string => withoutArgument(line.split(' '), 'latest', flags).join(' ');
  expect(rest('latest --clean')).toBe('--clean');
  expect(rest('--clean latest --target-db copy')).toBe('--clean --target-db copy');
  expect(rest('--target-db latest -o latest latest')).toBe('--target-db latest -o latest');
  expect(rest('--clean')).toBe('--clean');
});
