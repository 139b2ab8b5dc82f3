/** Small backups on disk, with metadata of this program and of the old scripts. */
import {createHash} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {backupExtension} from '../../src/lib/base/formats.js';
import {backupId, metadataName} from '../../src/lib/catalog/backup-name.js';
import {type BackupRecord, formatBackupRecord} from '../../src/lib/catalog/backup-record.js';

/** A record of the database "shop" with two tables; `changes` replace whole keys. */
export function sampleRecord(at: string, changes: Partial<BackupRecord> = {}): BackupRecord {
  const database = changes.databaseName ?? 'shop';
  const format = changes.format ?? 'custom';
  const id = changes.id ?? backupId(database, new Date(at));
  return {
    schemaVersion: 1,
    toolVersion: '0.1.0',
    id,
    timestamp: at,
    databaseName: database,
    format,
    compressed: true,
    size: 6,
    duration: 1200,
    postgresVersion: '15.18',
    backupPath: id + backupExtension(format, true),
    config: {
      compression: null,
      schemaOnly: false,
      dataOnly: false,
      includeTables: [],
      excludeTables: [],
      includeSchemas: [],
      excludeSchemas: [],
      parallelJobs: 1,
    },
    clientVersion: '15.18',
    serverMajor: 15,
    source: {
      systemIdentifier: '7300000000000000001',
      host: 'db.example',
      port: 5432,
      owner: 'shop',
      locale: {
        encoding: 'UTF8',
        collation: 'C',
        ctype: 'C',
        provider: 'libc',
        providerLocale: null,
        icuRules: null,
      },
      sizeBytes: 8_000_000,
    },
    sha256: createHash('sha256').update('PGDMP\n').digest('hex'),
    tables: [
      {schema: 'public', name: 'orders', rows: 1200, fingerprint: null},
      {schema: 'public', name: 'products', rows: 40, fingerprint: null},
    ],
    inventory: {leftOut: []},
    roles: null,
    verification: null,
    proofs: [],
    label: null,
    shrink: [],
    warnings: [],
    ...changes,
  };
}

/** Writes the dump and its metadata; returns the record. */
export async function writeSampleBackup(
  folder: string,
  at: string,
  changes: Partial<BackupRecord> = {},
): Promise<BackupRecord> {
  const record = sampleRecord(at, changes);
  await mkdir(folder, {recursive: true, mode: 0o700});
  const dump = join(folder, record.backupPath);
  if (record.format === 'directory') {
    await mkdir(dump, {mode: 0o700});
    await writeFile(join(dump, 'toc.dat'), 'PGDMP\n', {mode: 0o600});
    await writeFile(join(dump, '2001.dat.gz'), 'rows', {mode: 0o600});
  } else {
    await writeFile(dump, 'PGDMP\n', {mode: 0o600});
  }
  await writeFile(join(folder, metadataName(record.id)), formatBackupRecord(record), {mode: 0o600});
  return record;
}

/** A backup of the old scripts; returns its id. */
export async function writeOldScriptBackup(folder: string, at: string, database = 'shop'): Promise<string> {
  const id = `${database}-${at.replaceAll(/[:.]/g, '-')}`;
  await mkdir(folder, {recursive: true});
  await writeFile(join(folder, `${id}.dump`), 'PGDMP\n');
  const metadata = {
    timestamp: at,
    databaseName: database,
    format: 'custom',
    compressed: true,
    size: 6,
    duration: 900,
    config: {},
    postgresVersion: 'Unknown',
    tableCount: 0,
    recordCount: 0,
    backupPath: `./backups/database/${id}.dump`,
    created: at,
    command: 'backup-database.ts',
    version: '1.0.0',
  };
  await writeFile(join(folder, `${id}.dump.metadata.json`), JSON.stringify(metadata, null, 2));
  return id;
}
