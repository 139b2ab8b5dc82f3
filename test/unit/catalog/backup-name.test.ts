import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {backupId, fileNamePart} from '../../../src/lib/catalog/backup-name.js';
import {timestampForName} from '../../../src/lib/base/file-names.js';

const at = new Date('2026-11-22T03:10:05.987Z');

describe('backupId', () => {
  it('consists of the database, the UTC second, and a number from the second backup on', () => {
    expect(backupId('shop', at)).toBe('shop-2026-11-22T03-10-05');
    expect(backupId('shop', at, 2)).toBe('shop-2026-11-22T03-10-05-2');
    expect(timestampForName(new Date('2026-01-01T00:59:59+02:00'))).toBe('2025-12-31T22-59-59');
  });

  it.each([
    ['shop_prod-1.2', 'shop_prod-1.2'],
    ['../../etc/passwd', '%2E.%2F..%2Fetc%2Fpasswd'],
    ['.hidden', '%2Ehidden'],
    ['-rf', '%2Drf'],
    ['a b', 'a%20b'],
    ['100%', '100%25'],
    ['ñ', '%C3%B1'],
    ['C:\\x', 'C%3A%5Cx'],
    ['a\nb', 'a%0Ab'],
  ])('writes the database %j as %s', (database, part) => {
    expect(fileNamePart(database)).toBe(part);
  });

  it('stays in the folder, and differs for any two databases', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme', minLength: 1}), (database) => {
        const part = fileNamePart(database);
        expect(part).toMatch(/^[A-Za-z0-9_%][A-Za-z0-9_.%-]*$/);
        expect(decodeURIComponent(part)).toBe(database);
      }),
    );
  });
});
