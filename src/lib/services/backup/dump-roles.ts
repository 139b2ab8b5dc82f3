/** Writes the cluster's roles, which pg_dump does not dump, to a file next to the dump. */
import {createWriteStream} from 'node:fs';
import {basename} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {conninfoValue} from '../../postgres/quote.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {digestFile} from '../../base/checksum.js';
import type {DumpPlace} from '../../catalog/dump-place.js';
import {createPrivateFile} from '../../base/safe-file.js';
import {type Connection, libpqEnvironment} from '../../postgres/connect/connection.js';
import {findTool} from '../../postgres/tools/find-tools.js';
import {runTool} from '../../postgres/tools/run-tool.js';
import type {RunContext} from '../../run/run-context.js';

/**
 * Writes the partial file of the roles with pg_dumpall --roles-only --no-role-passwords, which needs no superuser (manual, pg_dumpall).
 * Roles are not part of the snapshot: the file may be slightly newer than the dump.
 */
export async function writeRoles(
  context: RunContext,
  connection: Connection,
  serverMajor: number,
  place: DumpPlace,
): Promise<NonNullable<BackupRecord['roles']>> {
  const tool = await findTool('pg_dumpall', context.settings, serverMajor);
  const file = await createPrivateFile(place.rolesPartialPath);
  const environment = libpqEnvironment(connection);
  await runTool({
    tool: 'pg_dumpall',
    path: tool.path,
    args: [
      '--roles-only',
      '--no-role-passwords',
      '--no-password',
      `--database=dbname=${conninfoValue(connection.database)}`,
    ],
    environment,
    failureCode: 'PG_DUMP_FAILED',
    signal: context.signal,
    readStdout: async (stdout) => pipeline(stdout, createWriteStream('', {fd: file, flush: true})),
  });
  const digest = await digestFile(place.rolesPartialPath);
  return {path: basename(place.rolesPath), sha256: digest.sha256, size: digest.sizeBytes};
}
