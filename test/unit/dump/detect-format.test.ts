import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {detectDump} from '../../../src/lib/dump/detect-format.js';
import {tempFolder} from '../../support/run-cli.js';

it('distinguishes an encrypted folder without metadata from a folder without a dump', async () => {
  const folder = await tempFolder();
  try {
    await mkdir(join(folder, 'shop.dir'));
    await expect(detectDump(join(folder, 'shop.dir'))).rejects.toThrow('is a folder without a toc.dat');
    await writeFile(join(folder, 'shop.dir', 'toc.dat.age'), 'age-encryption.org/v1\n');
    await expect(detectDump(join(folder, 'shop.dir'))).rejects.toMatchObject({
      code: 'NOT_A_BACKUP',
      hint: expect.stringContaining('.metadata.json') as string,
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
});
