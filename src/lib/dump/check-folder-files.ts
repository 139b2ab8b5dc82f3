/** A dump in directory format has exactly the files that its table of contents names. */
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {AppError} from '../base/errors.js';
import type {ListedEntry} from './share-entries.js';
import {someOf} from '../base/some-of.js';

/** Endings that pg_dump gives to compressed files (15: gz; 16 and newer: also lz4 and zst). */
const compressions = /\.(?:gz|lz4|zst)$/;

/** @throws VERIFY_FAILED naming the files that are missing or too many */
export async function checkFolderFiles(folder: string, entries: readonly ListedEntry[]): Promise<void> {
  const names = await readdir(folder);
  const present = new Set(names.map((name) => name.replace(compressions, '')));
  const expected = new Set(['toc.dat']);
  for (const {id, type} of entries) {
    if (type === 'TABLE DATA') expected.add(`${id}.dat`);
    // One list of large objects up to version 16, one for each group of them since.
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
    // A file both compressed and not: pg_restore would take the second.
    return !expected.has(plain) || (plain !== name && names.includes(plain));
  });
  if (missing.length + extra.length === 0) return;
  const problems = [
    ...(missing.length > 0 ? [`missing: ${someOf(missing, 5).join(', ')}`] : []),
    ...(extra.length > 0 ? [`not part of the dump: ${someOf(extra, 5).join(', ')}`] : []),
  ];
  throw new AppError('VERIFY_FAILED', `${folder} is damaged: ${problems.join('; ')}.`, {
    hint: 'Make a new backup; this one cannot be trusted.',
  });
}

/** Lines "16390 blob_16390.dat". */
async function filesOfList(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return []; // absent: told as missing, as the list itself is expected
  }
  return text.split('\n').flatMap((line) => /^\d+ (.+)$/.exec(line)?.[1] ?? []);
}
