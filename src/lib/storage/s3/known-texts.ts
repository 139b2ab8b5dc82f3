/** The texts of a bucket's metadata as they were read last: a list asks only for what is new since then. */
import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {dirname, isAbsolute, join} from 'node:path';
import {z} from 'zod';
import {makePrivateFolder, writeFileSafely} from '../../base/safe-file.js';
import {homeFolder} from '../../base/home-folder.js';
import type {Environment} from '../../settings/environment.js';
import type {KnownTexts, StoredObject} from '../place.js';

/** Characters of one text, and of all together: what is larger is read anew each time. */
const longestText = 64 * 1024;
const longestFile = 64 * 1024 * 1024;

const fileSchema = z.array(z.tuple([z.string(), z.string()]));

/**
 * One file for each place, in the user's folder for what can be made anew (XDG Base Directory Specification). It holds what the store
 * sent and is trusted no further: only texts of objects that the store lists now, with the same tag, size and time, are used.
 * Trouble with the file costs time and nothing else, so it is no error.
 * @param place what tells the place from all others: the endpoint and the bucket's URL
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
        // a full disk or a home that may not be written: the next list takes as long as this one
      }
    },
  };
}

function nameOf({key, tag = '', sizeBytes, modifiedAt}: StoredObject): string {
  return JSON.stringify([key, tag, sizeBytes, modifiedAt.getTime()]);
}

function fileOf(environment: Environment, place: readonly string[]): string | undefined {
  const wanted = environment.get('XDG_CACHE_HOME');
  const name = `${digestOf(JSON.stringify(place)).slice(0, 16)}.json`;
  const home = homeFolder();
  const own = home === undefined ? undefined : join(home, '.cache');
  const folder = wanted !== undefined && isAbsolute(wanted) ? wanted : own;
  return folder === undefined ? undefined : join(folder, 'destino-db', 'metadata', name);
}

async function readTexts(file: string): Promise<Map<string, string>> {
  try {
    const [digest = '', content = ''] = (await readFile(file, 'utf8')).split('\n', 2);
    if (digest === digestOf(content)) return new Map(fileSchema.parse(JSON.parse(content)));
  } catch {
    // none yet, or of another version
  }
  return new Map();
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
