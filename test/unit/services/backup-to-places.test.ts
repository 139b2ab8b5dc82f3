import {rm} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {backupToPlaces} from '../../../src/lib/services/backup-to-places.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

it.each<[string, string[], RegExp]>([
  ['a folder among the places', ['s3://bucket/prefix', './elsewhere'], /--to \.\/elsewhere is one/],
  ['no place at all', [], /no place for a copy was named/],
])('refuses to encrypt where the copy would stay plain: %s', async (_what, to, message) => {
  const folder = await tempFolder();
  try {
    const work = backupToPlaces(testContext(folder), {}, {to, recipients: ['age1unused']});
    await expect(work).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message) as string,
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
});
