import {expect, it} from 'vitest';
import {backupExtension, backupFormats, withoutExtension} from '../../../src/lib/base/formats.js';

it('determines the format from the extension', () => {
  expect(
    [
      ['custom', true],
      ['custom', false],
      ['directory', true],
      ['sql', true],
      ['sql', false],
    ].map(([format, compressed]) =>
      backupExtension(format as 'custom' | 'directory' | 'sql', compressed as boolean),
    ),
  ).toEqual(['.dump', '.dump', '.dir', '.sql.gz', '.sql']);
});

it('finds the extension in every name of a dump, and in no other name', () => {
  for (const format of backupFormats) {
    for (const isCompressed of [true, false])
      expect(withoutExtension(`a.sql.b${backupExtension(format, isCompressed)}`)).toBe('a.sql.b');
  }
  expect(['a', 'a.dump.age', 'a.gz', 'adump'].map(withoutExtension)).toEqual(Array(4).fill(undefined));
});
