/** Real backups for tests that read them: a dump by the stock pg_dump with its metadata. */
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {readDump} from '../../src/lib/dump/read-dump.js';
import {backupExtension} from '../../src/lib/base/formats.js';
import {metadataName} from '../../src/lib/catalog/backup-name.js';
import {type BackupRecord, formatBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {digestFile, filesOfFolder, sizeOf} from '../../src/lib/base/checksum.js';
import {withAppSession} from './app-session.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {inspectIdentity} from '../../src/lib/postgres/inspect/inspect-database.js';
import type {RunContext} from '../../src/lib/run/run-context.js';
import {type DumpKind, makeDump} from './make-dump.js';
import {sampleRecord} from './sample-backups.js';

/** Backs up the database into the context's backups folder; `at` determines the id. */
export async function makeBackup(
  context: RunContext,
  connection: Connection,
  kind: DumpKind,
  at: string,
): Promise<{path: string; metadataPath: string; record: BackupRecord}> {
  const folder = join(context.settings.backupsDir, 'database');
  await mkdir(folder, {recursive: true, mode: 0o700});
  const format = kind === 'sql.gz' ? 'sql' : kind;
  const isCompressed = kind !== 'sql';
  const {id} = sampleRecord(at);
  const name = id + backupExtension(format, isCompressed);
  const dump = await makeDump(connection, folder, kind, {name});
  const contents = await readDump(dump, {settings: context.settings, fingerprints: true});
  const identity = await withAppSession(connection, inspectIdentity);
  const record = sampleRecord(at, {
    format,
    compressed: dump.compressed,
    backupPath: name,
    databaseName: connection.database,
    id,
    serverMajor: identity.major,
    source: {
      systemIdentifier: identity.systemIdentifier,
      host: connection.host,
      port: connection.port,
      owner: identity.owner,
      locale: identity.locale,
      sizeBytes: identity.sizeBytes,
    },
    size: await sizeOf(dump.path),
    sha256: await digestsOf(dump.path, format === 'directory'),
    // It was read back above.
    verification: {level: 'archive', at, ok: true, outcome: 'passed', duration: 0, findings: []},
    tables: contents.tables.map(({schema, name: table, rows, fingerprint}) => ({
      schema,
      name: table,
      rows,
      fingerprint,
    })),
  });
  const metadataPath = join(folder, metadataName(id));
  await writeFile(metadataPath, formatBackupRecord(record), {mode: 0o600});
  return {path: dump.path, metadataPath, record};
}

/** In the form of a record: of the file, or of each file in the folder. */
export async function digestsOf(path: string, isFolder: boolean): Promise<BackupRecord['sha256']> {
  if (!isFolder) return (await digestFile(path)).sha256;
  const digests: Record<string, string> = {};
  for (const name of await filesOfFolder(path)) digests[name] = (await digestFile(join(path, name))).sha256;
  return digests;
}
