/** Caches the texts of a bucket's metadata, so that a list requests only new objects. */
import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {z} from 'zod';
import {cacheFolder} from '../../base/cache-folder.js';
import {makePrivateFolder, writeFileSafely} from '../../base/safe-file.js';
import type {Environment} from '../../settings/environment.js';
import type {KnownTexts, StoredObject} from '../place.js';

/** Limits in characters, of one text and of all texts; larger ones are read each time. */
const longestText = 64 * 1024;
const longestFile = 64 * 1024 * 1024;

const fileSchema = z.array(z.tuple([z.string(), z.string()]));

/**
 * One file per location in the user's cache folder (XDG Base Directory Specification). It contains data of the store and is
 * trusted no further: a text is used only if the store now lists its object with the same tag, size and time.
 * A problem with the file only costs time, so it is not an error.
 */
export async function openKnownTexts(
  environment: Environment,
  place: readonly string[],
): Promise<KnownTexts> {
  const file = fileOf(environment, place);
  const before = file === undefined ? new Map<string, string>() : await readTexts(file);
  const now = new Map<string, string>();
  return {
    get: (object) => before.get(nameOf(object)),
    add(object, text) {
      if (object.tag !== undefined && text.length <= longestText) now.set(nameOf(object), text);
    },
    async save() {
      const isUnchanged = now.size === before.size && [...now.keys()].every((name) => before.has(name));
      if (file === undefined || isUnchanged) return;
      const content = JSON.stringify([...now]);
      if (content.length > longestFile) return;
      try {
        await makePrivateFolder(dirname(file));
        await writeFileSafely(file, `${digestOf(content)}\n${content}`);
      } catch {
        // The disk is full or the home is not writable: the next list takes as long as this one.
      }
    },
  };
}

function nameOf({key, tag = '', sizeBytes, modifiedAt}: StoredObject): string {
  return JSON.stringify([key, tag, sizeBytes, modifiedAt.getTime()]);
}

function fileOf(environment: Environment, place: readonly string[]): string | undefined {
  const name = `${digestOf(JSON.stringify(place)).slice(0, 16)}.json`;
  const folder = cacheFolder(environment.get('XDG_CACHE_HOME'));
  return folder === undefined ? undefined : join(folder, 'metadata', name);
}

async function readTexts(file: string): Promise<Map<string, string>> {
  try {
    const [digest = '', content = ''] = (await readFile(file, 'utf8')).split('\n', 2);
    if (digest === digestOf(content)) return new Map(fileSchema.parse(JSON.parse(content)));
  } catch {
    // missing, or of another version
  }
  return new Map();
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
