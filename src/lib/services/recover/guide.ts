/** Writes the emergency checklist, with the backups of this installation and commands that can be pasted. */
import {dirname, join, resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {isGood, isUsable, readCatalogue} from '../../catalog/catalogue.js';
import {makePrivateFolder, writeFileSafely} from '../../base/safe-file.js';
import {AppError} from '../../base/errors.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {findTool, type ToolName} from '../../postgres/tools/find-tools.js';
import type {RunContext} from '../../run/run-context.js';
import {readHistory} from '../../run/read-history.js';
import {keyWords} from '../../encryption/settings.js';
import {recoveryMarkdown, type StockTools} from './guide-markdown.js';

export interface RecoveryGuide {
  /** The guide as Markdown. */
  readonly markdown: string;
  /** Absolute path of the written file, or null. */
  readonly path: string | null;
}

/**
 * @param command program, id and the flags for the same settings, without a URL, because the guide is stored
 * @throws READ_FAILED, FOLDER_NOT_WRITABLE, URL_INVALID
 */
export async function recoveryGuide(
  context: RunContext,
  command: (id: string) => readonly string[],
  output?: string,
): Promise<RecoveryGuide> {
  const {settings, clock} = context;
  const {backups} = await readCatalogue(backupFolder(settings));
  const connection = connectionOrNone(context);
  const {runs} = await readHistory(
    settings.backupsDir,
    ({database, verifications}) =>
      verifications.length > 0 && (connection === undefined || database?.name === connection.database),
  );
  const tests = runs.flatMap((run) =>
    run.verifications.flatMap(({level, ok, restoreDuration}) =>
      level === 'restore' && ok && restoreDuration !== null ? [{at: run.startedAt, restoreDuration}] : [],
    ),
  );
  const good = backups.filter(
    (backup) => isGood(backup) && (connection === undefined || backup.database === connection.database),
  );
  const newest = good.find(isUsable);
  const markdown = recoveryMarkdown({
    now: clock.now(),
    command,
    tools: await stockToolPaths(context, newest?.record?.serverMajor),
    folder: settings.cwd,
    backupsDir: settings.backupsDir,
    connection,
    backups: good,
    newest,
    lastTest: tests.at(-1),
    key: keyWords(settings, newest?.record ?? null),
    identityFile: settings.config.encryption?.identityFile ?? 'KEY.txt',
  });
  if (output === undefined) return {markdown, path: null};
  const path = resolve(settings.cwd, output);
  await makePrivateFolder(dirname(path));
  await writeFileSafely(path, markdown);
  return {markdown, path};
}

/** A guide is written before the emergency, perhaps without a URL; it then has names to fill in. */
function connectionOrNone(context: RunContext): Connection | undefined {
  try {
    return resolveConnection(context.settings);
  } catch (error) {
    if (error instanceof AppError && error.code === 'NO_DATABASE_URL') return undefined;
    throw error;
  }
}

/**
 * The paths of the tools that fit the backup's server. A bare name may find newer tools, and a newer pg_restore begins with settings
 * that an older server does not know. If the tools are not installed, the bare names.
 */
async function stockToolPaths({settings}: RunContext, serverMajor: number | undefined): Promise<StockTools> {
  const pathOf = async (name: ToolName): Promise<string> => {
    try {
      return (await findTool(name, settings, serverMajor)).path;
    } catch (error) {
      if (error instanceof AppError) return name;
      throw error;
    }
  };
  const [psqlPath, pgDump, pgRestore] = await Promise.all([
    pathOf('psql'),
    pathOf('pg_dump'),
    pathOf('pg_restore'),
  ]);
  // Packages install createdb next to psql.
  return {psql: psqlPath, pgDump, pgRestore, createdb: join(dirname(psqlPath), 'createdb')};
}
