/** Writes the roles of the server, which pg_dump does not dump, to a file next to the dump. */
import {createHash} from 'node:crypto';
import {basename} from 'node:path';
import {conninfoValue} from '../../postgres/quote.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import type {DumpPlace} from '../../catalog/dump-place.js';
import {globalsLines} from '../../dump/roles-file.js';
import {writeNewFile} from '../../base/safe-file.js';
import {withSession} from '../../postgres/client.js';
import {libpqEnvironment} from '../../postgres/connect/connection.js';
import {inspectGlobals} from '../../postgres/inspect/inspect-globals.js';
import {findTool} from '../../postgres/tools/find-tools.js';
import {runTool} from '../../postgres/tools/run-tool.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupPlan} from './plan.js';

export interface DumpedRoles {
  readonly record: NonNullable<BackupRecord['roles']>;
  /** The content, if it has passwords: it is only written encrypted. */
  readonly secret?: Buffer;
}

/**
 * Dumps the roles with pg_dumpall --roles-only, and appends tablespaces, settings by ALTER SYSTEM and the line that a restore reads.
 * Without passwords this needs no superuser (manual, pg_dumpall). Roles are not part of the snapshot: the file may be slightly newer
 * than the dump.
 */
export async function dumpRoles(
  context: RunContext,
  {connection, identity, hasPasswords}: BackupPlan,
  place: DumpPlace,
): Promise<DumpedRoles> {
  const {signal} = context;
  const tool = await findTool('pg_dumpall', context.settings, identity.major);
  const chunks: Buffer[] = [];
  await runTool({
    tool: 'pg_dumpall',
    path: tool.path,
    args: [
      '--roles-only',
      ...(hasPasswords ? [] : ['--no-role-passwords']),
      '--no-password',
      `--database=dbname=${conninfoValue(connection.database)}`,
    ],
    environment: libpqEnvironment(connection),
    failureCode: 'PG_DUMP_FAILED',
    signal,
    readStdout: async (stdout) => {
      for await (const chunk of stdout) chunks.push(chunk as Buffer);
    },
  });
  const globals = await withSession(connection, (session) => inspectGlobals(session, hasPasswords), {signal});
  const content = Buffer.concat([...chunks, Buffer.from(globalsLines(globals))]);
  const record = {
    path: basename(place.rolesPath),
    sha256: createHash('sha256').update(content).digest('hex'),
    size: content.length,
  };
  if (hasPasswords) return {record: {...record, hasPasswords}, secret: content};
  await writeNewFile(place.rolesPartialPath, content);
  return {record};
}
