/** Statements that plain dumps and partial backups lack: pg_restore writes them from the target's definitions to drop objects and to create their dependents again. */
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import {dumpStatements} from '../../dump/dump-statements.js';
import {leaveOut, type LeftOutEntries} from '../../dump/left-out-entries.js';
import {findTool} from '../../postgres/tools/find-tools.js';
import {runPgDump} from '../../postgres/tools/pg-dump.js';
import {listArchive, streamArchive} from '../../postgres/tools/pg-restore.js';
import type {RunContext} from '../../run/run-context.js';
import {withTemporaryFolder} from '../../base/temporary-folder.js';
import {type BackupPlan, dumpOptions} from '../backup/plan.js';
import {readingOptions} from './source.js';

export interface TargetStatements {
  /** For a plain dump: settings of the session, then a DROP statement for each object that both the target and the dump have. */
  readonly drops?: Buffer;
  /** Output of pg_restore --clean for objects that depend on replaced objects. */
  readonly dependents?: Buffer;
}

/**
 * Reads the statements from the target's own definitions.
 * @param present the safety backup of the target
 * @param definitions of a plain dump; null for an archive, for which pg_restore writes the DROP statements
 * @param dependents entries of a table of contents, "3256 17154"
 * @throws the errors of pg_dump and pg_restore
 */
export async function readTargetStatements(
  {settings, signal}: RunContext,
  present: BackupPlan,
  definitions: readonly DumpDefinition[] | null,
  leftOut: LeftOutEntries,
  dependents: readonly string[],
): Promise<TargetStatements> {
  const {tool, connection, identity} = present;
  const pgRestore = await findTool('pg_restore', settings, tool.major);
  return withTemporaryFolder('drop', async (folder) => {
    const path = join(folder, 'target.dump');
    await runPgDump({
      tool,
      connection,
      options: {...dumpOptions(present, undefined), format: 'custom', compressLevel: 0, schemaOnly: true},
      output: path,
      signal,
    });
    const lines = await listArchive(
      pgRestore,
      {path},
      identity.locale.encoding,
      signal,
      'PG_RESTORE_FAILED',
      true,
    );
    const write = (entries: readonly string[], read: (sql: Readable) => Promise<void>) =>
      streamArchive(
        pgRestore,
        {path},
        {...readingOptions, isCleaning: true, schemaOnly: true},
        read,
        signal,
        entries,
      );
    const statements: string[] = [];
    if (definitions) {
      const isReplaced = leaveOut(definitions, (entry) =>
        isPublicSchema(entry) || leftOut.why(entry) !== undefined ? undefined : 'replaced',
      ).whyListed;
      const replaced = lines.filter((line) => isReplaced(line.replace(/^\d+; \d+ \d+ /, '')) !== undefined);
      await write(replaced, async (sql) => {
        for await (const statement of dumpStatements(sql))
          if (statement.section === null) statements.push(statement.sql);
      });
    }
    let remade: Buffer | undefined;
    if (dependents.length > 0)
      await write(entriesWithRights(lines, new Set(dependents)), async (sql) => {
        remade = await buffer(sql);
      });
    return {
      ...(definitions ? {drops: Buffer.from(`${statements.join('\n')}\n`, 'latin1')} : {}),
      ...(remade ? {dependents: remade} : {}),
    };
  });
}

/** @param lines of `pg_restore --list --verbose` */
function entriesWithRights(lines: readonly string[], wanted: ReadonlySet<string>): string[] {
  const entry = /^(\d+); (\d+ \d+) (ACL |COMMENT |SECURITY LABEL )?/;
  const ids = new Set(
    lines.flatMap((line) => {
      const [, id = '', place = ''] = entry.exec(line) ?? [];
      return wanted.has(place) ? [id] : [];
    }),
  );
  return lines.filter((line, index) => {
    const [, id = '', , about] = entry.exec(line) ?? [];
    if (about === undefined) return ids.has(id);
    const needs = lines[index + 1] ?? '';
    return needs.startsWith(';') && (needs.match(/\d+/g) ?? []).some((need) => ids.has(need));
  });
}

/** The schema exists in every database, but older versions of pg_dump drop it. */
function isPublicSchema({type, name}: {readonly type: string; readonly name: string}): boolean {
  return type === 'SCHEMA' && name === 'public';
}
