/** Runs the commands of a documentation page, block by block, and compares their output with the page. */
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect} from 'vitest';
import {blocksOf, leaveOutAs, maskChanging} from './doc-page.js';
import {program, runProgram} from './run-cli.js';

export interface PageWorld {
  /** The folder of the commands. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Texts of the page and their replacements here, such as the address of a server. Longer ones first. */
  readonly shown?: readonly (readonly [shown: string, real: string])[];
  /** Blocks (by their first line) that another test runs, with that test's file. */
  readonly elsewhere?: Readonly<Record<string, string>>;
  /** Exit statuses that are not 0, by the first line of the block. */
  readonly statuses?: Readonly<Record<string, number>>;
  /** Called before a block runs, with its text. */
  readonly before?: (script: string) => Promise<void> | void;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** With DESTINO_TEST_RECORD=1, pages are updated instead of compared. */
export const isRecording = process.env['DESTINO_TEST_RECORD'] === '1';

/**
 * Runs every `sh` block of the page; a block directly after it contains its output on stdout. A block with a
 * file name after its language is that file.
 * @param path below the project's folder
 */
export async function runPage(path: string, world: PageWorld): Promise<void> {
  const markdown = await readFile(root + path, 'utf8');
  const blocks = blocksOf(markdown);
  const env = await environmentOf(world);
  const real = (text: string): string => replaceAll(text, world.shown ?? []);
  const shown = (text: string): string =>
    replaceAll(
      text,
      (world.shown ?? []).map(([as, is]) => [is, as] as const),
    );
  // Settings of a block for the following ones.
  const kept: string[] = [];
  const edits: {start: number; end: number; text: string}[] = [];
  const elsewhere = Object.keys(world.elsewhere ?? {});
  const seen = new Set<string>();
  let ran = 0;

  for (const [index, block] of blocks.entries()) {
    const [firstLine = ''] = block.text.split('\n');
    if (block.file !== undefined)
      await writeFile(join(world.folder, block.file), real(block.text), {mode: 0o600});
    if (block.lang !== 'sh') continue;
    if (elsewhere.includes(firstLine)) {
      seen.add(firstLine);
      continue;
    }
    await world.before?.(block.text);
    const script = real(block.text);
    const result = await runProgram('/bin/bash', ['-euo', 'pipefail', '-c', [...kept, script].join('\n')], {
      cwd: world.folder,
      env,
    });
    ran += 1;
    expect(result.status, `${path}: ${block.text}\nstdout: ${result.stdout}\nstderr: ${result.stderr}`).toBe(
      world.statuses?.[firstLine] ?? 0,
    );
    kept.push(...script.split('\n').filter((line) => /^(?:export|cd) /.test(line)));

    const next = blocks[index + 1];
    const isOutput =
      next && next.lang !== 'sh' && /^```\s*```[a-z]+\n$/.test(markdown.slice(block.end, next.start));
    if (!isOutput) continue;
    const printed = leaveOutAs(next.text, shown(result.stdout));
    if (maskChanging(printed) === maskChanging(next.text)) continue;
    if (isRecording) edits.push({start: next.start, end: next.end, text: printed});
    else expect(maskChanging(printed), `${path}: ${block.text}`).toBe(maskChanging(next.text));
  }
  expect([...seen].sort(), `${path}: blocks that other tests run`).toEqual(elsewhere.sort());
  expect(ran, `${path}: blocks run`).toBeGreaterThan(0);
  if (edits.length > 0) await writeFile(root + path, edited(markdown, edits));
}

/** Replaces parts of a page. */
export function edited(
  markdown: string,
  edits: readonly {start: number; end: number; text: string}[],
): string {
  return [...edits]
    .sort((a, b) => b.start - a.start)
    .reduce((page, {start, end, text}) => page.slice(0, start) + text + page.slice(end), markdown);
}

function replaceAll(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((replaced, [from, to]) => replaced.replaceAll(from, to), text);
}

/** With the program under its own name in PATH, as after an installation. */
export async function environmentOf(
  world: Pick<PageWorld, 'folder' | 'env'>,
): Promise<Record<string, string>> {
  const bin = join(world.folder, '.bin');
  await mkdir(bin, {recursive: true});
  const command = join(bin, 'destino-db');
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(command, 0o755);
  return {
    HOME: world.folder,
    ...world.env,
    PATH: `${bin}:${world.env?.['PATH'] ?? process.env['PATH'] ?? ''}`,
  };
}
