/** A plain dump does not say what to drop. The definitions of the target do: pg_restore writes the statements from them. */
import {join} from 'node:path';
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

/**
 * The beginning of a plain dump made with --clean, as a character a byte: settings of the session, then a statement for each object that the
 * target and the dump both have.
 * @param present the safety backup of the target
 * @param definitions those of the dump
 * @throws what pg_dump and pg_restore say
 */
export async function readDropStatements(
  {settings, signal}: RunContext,
  present: BackupPlan,
  definitions: readonly DumpDefinition[],
  leftOut: LeftOutEntries,
): Promise<Buffer> {
  const {tool, connection, identity} = present;
  const pgRestore = await findTool('pg_restore', settings, tool.major);
  const isReplaced = leaveOut(definitions, (entry) =>
    isPublicSchema(entry) || leftOut.why(entry) !== undefined ? undefined : 'replaced',
  ).whyListed;
  return withTemporaryFolder('drop', async (folder) => {
    const path = join(folder, 'target.dump');
    await runPgDump({
      tool,
      connection,
      options: {...dumpOptions(present, undefined), format: 'custom', compress: undefined, schemaOnly: true},
      output: path,
      signal,
    });
    const entries = await listArchive(pgRestore, {path}, identity.locale.encoding, signal);
    const replaced = entries.filter((entry) => isReplaced(entry.replace(/^\d+; \d+ \d+ /, '')) !== undefined);
    const statements: string[] = [];
    const read = async (sql: AsyncIterable<Buffer>): Promise<void> => {
      for await (const statement of dumpStatements(sql))
        if (statement.section === null) statements.push(statement.sql);
    };
    await streamArchive(
      pgRestore,
      {path},
      {...readingOptions, isCleaning: true, schemaOnly: true},
      read,
      signal,
      replaced,
    );
    return Buffer.from(`${statements.join('\n')}\n`, 'latin1');
  });
}

/** Every database has it; older versions of pg_dump drop it all the same. */
function isPublicSchema({type, name}: {readonly type: string; readonly name: string}): boolean {
  return type === 'SCHEMA' && name === 'public';
}
