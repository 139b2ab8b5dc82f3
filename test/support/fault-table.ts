/** vitest global setup: after tests of the long form, writes their results to docs/faults.md. */
import {readMixPart} from './lock-page.js';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {describeHeld} from './fault-page.js';

/** One line of the table: a fault at one moment of a command, and how often all promises were kept. */
export interface FaultRow {
  readonly command: string;
  /** The fault point, or the moment in words. */
  readonly point: string;
  readonly fault: string;
  readonly runs: number;
}

export type Damages = Readonly<Record<string, {readonly flips: number; readonly cuts: number}>>;

/** The results of one test file; the long form may be run test by test. `npm run test:faults` starts again. */
interface Part {
  /** Names of all tests of the file. */
  readonly expected: readonly string[];
  /** The passed tests, by name. */
  readonly held: Readonly<Record<string, readonly FaultRow[]>>;
  readonly damages?: Damages;
}

export const isLong = process.env['DESTINO_TEST_FAULTS'] === 'long';

/** How often the program is killed at each point; other faults happen once. */
export const pointRounds = isLong ? 10 : 1;

const folder = fileURLToPath(new URL('../../test-results/faults/', import.meta.url));
const page = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));
const parts = [
  'backups', 'databases', 'orders', 'outside-backups', 'outside-databases', 'project', 'sweep', 'beside', 'damages',
]; // prettier-ignore

/** Records the passed tests of a file of the long form, in addition to earlier ones. */
export async function writeHeld(
  name: string,
  expected: readonly string[],
  held: ReadonlyMap<string, readonly FaultRow[]>,
): Promise<void> {
  if (!isLong) return;
  const before = new Map(await readParts()).get(name)?.held;
  await writePart(name, {expected, held: {...before, ...Object.fromEntries(held)}});
}

/** Adds the results for other kinds of dumps. */
export async function writeDamages(damages: Damages): Promise<void> {
  const before = new Map(await readParts()).get('damages')?.damages;
  await writePart('damages', {expected: [], held: {}, damages: {...before, ...damages}});
}

async function writePart(name: string, part: Part): Promise<void> {
  await mkdir(folder, {recursive: true});
  await writeFile(`${folder}${name}.json`, JSON.stringify(part));
}

export async function teardown(): Promise<void> {
  const found = new Map(await readParts());
  const present = parts.flatMap((name) => found.get(name) ?? []);
  if (!isLong) return;
  const damages = present.find((part) => part.damages)?.damages ?? {};
  const rows = present.flatMap(({held}) => Object.values(held).flat());
  const absent = parts.filter((name) => !found.has(name)).map((name) => `all of ${name}`);
  const failed = present.flatMap(({expected, held}) => expected.filter((name) => !(name in held)));
  const pairs = Object.keys(found.get('beside')?.held ?? {});
  const mix = await readMixPart();
  const held = describeHeld({rows, damages, pairs, missing: [...failed, ...absent]});
  await writeFile(page, mix === '' ? held : `${held}\n${mix}`);
}

async function readParts(): Promise<[string, Part][]> {
  const names = await readdir(folder).catch((): string[] => []); // no test was run yet
  return Promise.all(
    names.map(async (name): Promise<[string, Part]> => {
      const part = JSON.parse(await readFile(folder + name, 'utf8')) as Part;
      return [name.replace(/\.json$/, ''), part];
    }),
  );
}
