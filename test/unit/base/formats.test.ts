import {expect, it} from 'vitest';
import {backupExtension, backupFormats, withoutExtension} from '../../../src/lib/base/formats.js';

it('the extension tells the format', () => {
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

it('is found again in every name, and in no other', () => {
  for (const format of backupFormats) {
    for (const isCompressed of [true, false])
      expect(withoutExtension(`a.sql.b${backupExtension(format, isCompressed)}`)).toBe('a.sql.b');
  }
  expect(['a', 'a.dump.age', 'a.gz', 'adump'].map(withoutExtension)).toEqual(Array(4).fill(undefined));
});
