/** Reads the audit log line by line: the current file and the rotated ones. */
import {type FileHandle, lstat, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {openOwnFile, whyForeign} from '../base/own-file.js';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {exitCodeOfKilled, type RunRecord, runRecordSchema} from './run-record.js';

export interface History {
  /** By start, newest last. */
  readonly runs: readonly RunRecord[];
  /** Lines that are not records: cut off by a kill or a full disk, or edited. */
  readonly unreadableLines: number;
  /** Files with a name of the log that this program did not read, with the reason: "/x/history.jsonl is a pipe". */
  readonly foreign: readonly string[];
}

const historyFile = /^history(-.+)?\.jsonl$/;

/**
 * The runs in `folder` that `wanted` selects; none if there is no log.
 * Only selected runs are kept in memory.
 * @throws READ_FAILED
 */
export async function readHistory(
  folder: string,
  wanted: (run: RunRecord) => boolean = () => true,
): Promise<History> {
  const attempts = 5;
  for (let attempt = 1; ; attempt += 1) {
    const {files: before, foreign} = await describeFiles(folder);
    const runs = new Map<string, RunRecord>();
    const ended = new Set<string>();
    let unreadableLines = 0;
    for (const {name} of before) {
      for await (const line of linesOf(join(folder, name))) {
        if (line === '') continue; // two runs both ended an incomplete line
        const run = parseLine(line);
        if (!run) {
          unreadableLines += 1;
          continue;
        }
        // A run that is killed just after it wrote its line gets a second one, which says that it was killed.
        if (run.exitCode !== exitCodeOfKilled) ended.add(run.runId);
        else if (ended.has(run.runId)) continue;
        if (wanted(run)) runs.set(run.runId, run);
      }
    }
    // A file rotated meanwhile may have been read twice or not at all, so everything is read again.
    const isSteady = JSON.stringify(before) === JSON.stringify((await describeFiles(folder)).files);
    if (!isSteady && attempt < attempts) continue;
    const byStart = [...runs.values()].sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
    return {runs: byStart, unreadableLines, foreign};
  }
}

/** Names and inode numbers of the log's files; a rotation changes them, an append does not. */
async function describeFiles(
  folder: string,
): Promise<{files: {name: string; inode: number}[]; foreign: string[]}> {
  const files: {name: string; inode: number}[] = [];
  const foreign: string[] = [];
  try {
    for (const name of (await readdir(folder)).filter((each) => historyFile.test(each)).sort()) {
      const path = join(folder, name);
      const reason = await whyForeign(path, 'file');
      if (reason === undefined) files.push({name, inode: (await lstat(path)).ino});
      else foreign.push(`${path} ${reason}`);
    }
    return {files, foreign};
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {files, foreign};
    throw new AppError('READ_FAILED', `Cannot read the audit log in ${folder}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let file: FileHandle;
  try {
    file = await openOwnFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return; // rotated meanwhile; the caller reads again
    throw new AppError('READ_FAILED', `Cannot read ${path}: ${messageOf(error)}.`, {cause: error});
  }
  try {
    // Unlike this, readLines ends a line at U+2028 from Node 24 on, which JSON may contain.
    let rest = '';
    for await (const chunk of file.createReadStream({encoding: 'utf8'})) {
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest !== '') yield rest;
  } finally {
    await file.close();
  }
}

function parseLine(line: string): RunRecord | undefined {
  try {
    return runRecordSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined; // not JSON: the caller counts it
  }
}
