import {expect, it} from 'vitest';
import {repeatCommand} from '../../../src/lib/cli/repeat-command.js';

const repeat = (line: string, added: string[] = [], replaced: string[] = []): string =>
  repeatCommand('destino-db', 'restore', line.split(' '), added, replaced);

it('repeats what was given without the flags of a preview', () => {
  expect(repeat('--dry-run --details --json --clean -n')).toBe('destino-db restore --clean');
});

it('puts flags in the place of others, whichever way these have their values', () => {
  const added = ['--backup-file', 'shop 1'];
  const expected = "destino-db restore --target-db copy --backup-file 'shop 1'";
  expect(repeat('--at 2026-11-25 --target-db copy', added, ['--at'])).toBe(expected);
  expect(repeat('--at=2026-11-25 --target-db copy', added, ['--at'])).toBe(expected);
});
