/** Checks that a dump in directory format has exactly the files of its table of contents. */
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {AppError} from '../base/errors.js';
import type {ListedEntry} from './share-entries.js';
import {someOf} from '../base/some-of.js';

/** Extensions of files that pg_dump compresses (15: gz; 16 and newer: also lz4 and zst). */
const compressions = /\.(?:gz|lz4|zst)$/;

/** @throws VERIFY_FAILED naming missing and unexpected files */
export async function checkFolderFiles(folder: string, entries: readonly ListedEntry[]): Promise<void> {
  const names = await readdir(folder);
  const present = new Set(names.map((name) => name.replace(compressions, '')));
  const expected = new Set(['toc.dat']);
  for (const {id, type} of entries) {
    if (type === 'TABLE DATA') expected.add(`${id}.dat`);
    // Up to version 16 there is one list of large objects, since then one for each group.
    if (type === 'BLOBS') {
      const list =
        present.has(`blobs_${id}.toc`) || !present.has('blobs.toc') ? `blobs_${id}.toc` : 'blobs.toc';
      expected.add(list);
      for (const name of await filesOfList(join(folder, list))) expected.add(name);
    }
  }
  const missing = [...expected].filter((name) => !present.has(name));
  const extra = names.filter((name) => {
    const plain = name.replace(compressions, '');
    // If a file exists both compressed and uncompressed, pg_restore would use the second.
    return !expected.has(plain) || (plain !== name && names.includes(plain));
  });
  if (missing.length + extra.length === 0) return;
  const problems = [
    ...(missing.length > 0 ? [`missing: ${someOf(missing, 5).join(', ')}`] : []),
    ...(extra.length > 0 ? [`not part of the dump: ${someOf(extra, 5).join(', ')}`] : []),
  ];
  throw new AppError('VERIFY_FAILED', `${folder} is damaged: ${problems.join('; ')}.`, {
    hint: 'Make a new backup; this one is not reliable.',
  });
}

/** Lines "16390 blob_16390.dat". */
async function filesOfList(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return []; // the list itself is reported as missing
  }
  return text.split('\n').flatMap((line) => /^\d+ (.+)$/.exec(line)?.[1] ?? []);
}
