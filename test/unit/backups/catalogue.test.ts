import {execFileSync} from 'node:child_process';
import {mkdir, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {chooseBackup, readBackup, readCatalogue} from '../../../src/lib/backups/catalogue.js';
import {metadataName} from '../../../src/lib/backups/backup-name.js';
import {
  type BackupRecord,
  formatBackupRecord,
  type Verification,
} from '../../../src/lib/backups/backup-record.js';
import {checkFiles} from '../../../src/lib/backups/check-files.js';
import {tempFolder} from '../../support/run-cli.js';
import {sampleRecord, writeOldScriptBackup, writeSampleBackup} from '../../support/sample-backups.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

const bad: Verification = {
  level: 'archive',
  at: '2026-01-01T00:00:00Z',
  ok: false,
  duration: 1,
  findings: ['damaged'],
};

describe('readCatalogue', () => {
  it('lists backups of this program and of the old scripts, newest first', async () => {
    await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    await writeOldScriptBackup(folder, '2026-01-03T00:00:00.000Z');
    await writeSampleBackup(folder, '2026-01-01T00:00:00Z', {format: 'directory'});
    const {backups, problems} = await readCatalogue(folder);
    expect(
      backups.map(({createdAt, format, record}) => [
        createdAt.toISOString().slice(0, 10),
        format,
        record !== null,
      ]),
    ).toEqual([
      ['2026-01-03', 'custom', false],
      ['2026-01-02', 'custom', true],
      ['2026-01-01', 'directory', true],
    ]);
    expect(problems).toEqual([]);
  });

  it('takes neither a dump without metadata nor work in progress for a backup', async () => {
    await writeFile(join(folder, 'shop-2026-01-01T00-00-00.dump'), 'PGDMP');
    await writeFile(join(folder, 'shop-2026-01-02T00-00-00.dump.partial'), 'PGDMP');
    await writeFile(join(folder, 'shop-2026-01-02T00-00-00.metadata.json.abcd.partial'), '{}');
    expect(await readCatalogue(folder)).toEqual({backups: [], problems: []});
  });

  it('finds nothing in a folder that does not exist, and fails on one that is a file', async () => {
    expect((await readCatalogue(join(folder, 'gone'))).backups).toEqual([]);
    await writeFile(join(folder, 'file'), '');
    await expect(readCatalogue(join(folder, 'file'))).rejects.toThrow(
      expect.objectContaining({code: 'FOLDER_NOT_WRITABLE', exitCode: 3}) as Error,
    );
  });

  it('reports metadata that tells no backup and goes on with the others', async () => {
    const record = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const gone = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    await rm(join(folder, gone.backupPath));
    await writeFile(join(folder, 'a.metadata.json'), '{');
    await writeFile(join(folder, 'b.metadata.json'), '{"command": "backup-database.ts"}');
    const {backups, problems} = await readCatalogue(folder);
    expect(backups.map(({id}) => id)).toEqual([record.id]);
    expect(problems.map(({reason}) => reason)).toEqual([
      expect.stringContaining('a.metadata.json cannot be read'),
      expect.stringContaining('cannot be understood'),
      expect.stringContaining('is missing'),
    ]);
  });

  it('reads a folder that was moved as a whole', async () => {
    await writeSampleBackup(join(folder, 'here'), '2026-01-01T00:00:00Z');
    await rename(join(folder, 'here'), join(folder, 'there'));
    const {backups} = await readCatalogue(join(folder, 'there'));
    expect(backups[0]?.path).toContain(join(folder, 'there/'));
  });
});

describe('readBackup', () => {
  it.each(['../../etc/passwd', '/etc/passwd', 'sub/file', '..', '.', 'a\\b', '', 'x\0', 'x\ny'])(
    'refuses the dump path %j: metadata must not point elsewhere',
    async (backupPath) => {
      const record = sampleRecord('2026-01-01T00:00:00Z', {backupPath});
      const path = join(folder, metadataName(record.id));
      await writeFile(path, formatBackupRecord(record));
      await expect(readBackup(path)).rejects.toThrow(
        expect.objectContaining({code: 'METADATA_INVALID', exitCode: 4}) as Error,
      );
    },
  );

  it.each([
    ['its id', (path: string): Partial<BackupRecord> => ({id: path})],
    ['its roles', (path: string) => ({roles: {path, sha256: 'a'.repeat(64), size: 1}})],
    ['a file of its dump', (path: string) => ({sha256: {[path]: 'a'.repeat(64)}})],
    ['its folder in a store', (path: string) => ({storage: {folder: `data/${path.replace(/.*\//, '')}/`}})],
  ])('refuses a path in %s', async (_what, change) => {
    const path = join(folder, 'x.metadata.json');
    for (const name of ['../..', 'sub/..']) {
      await writeFile(path, formatBackupRecord(sampleRecord('2026-01-01T00:00:00Z', change(name))));
      await expect(readBackup(path)).rejects.toMatchObject({code: 'METADATA_INVALID'});
    }
  });

  it('shows nothing of a file that metadata is a link to, and waits for no pipe', async () => {
    await writeFile(join(folder, 'elsewhere.txt'), 'root:x:secret');
    await symlink(join(folder, 'elsewhere.txt'), join(folder, 'a.metadata.json'));
    execFileSync('mkfifo', [join(folder, 'b.metadata.json')]);
    await symlink(folder, join(folder, 'c.metadata.json'));
    await symlink('d.metadata.json', join(folder, 'd.metadata.json'));
    const {backups, problems} = await readCatalogue(folder);
    expect([backups.length, problems.length]).toEqual([0, 4]);
    expect(JSON.stringify(problems)).not.toContain('root:x');
  });

  it('says that a dump which is gone by now cannot be read', async () => {
    for (const format of ['directory', 'custom'] as const) {
      const record = await writeSampleBackup(join(folder, format), '2026-01-01T00:00:00Z', {format});
      const backup = await readBackup(join(folder, format, metadataName(record.id)));
      await rm(backup.path, {recursive: true});
      await expect(checkFiles(backup)).rejects.toMatchObject({code: 'READ_FAILED'});
    }
  });

  it('refuses a dump folder with anything but files in it', async () => {
    const record = await writeSampleBackup(folder, '2026-01-01T00:00:00Z', {format: 'directory'});
    const file = join(folder, record.backupPath, 'toc.dat');
    await rename(file, join(folder, 'moved'));
    await symlink(join(folder, 'moved'), file);
    await expect(checkFiles(await readBackup(join(folder, metadataName(record.id))))).rejects.toMatchObject({
      code: 'BACKUP_INCOMPLETE',
    });
  });

  it("refuses an old script's dump that is a link out of the folder, or a pipe", async () => {
    const metadata = {
      timestamp: '2026-01-01T00:00:00Z',
      databaseName: 'd',
      format: 'sql',
      command: 'backup-database.ts',
    };
    await mkdir(join(folder, 'inside'));
    await writeFile(join(folder, 'outside.sql'), 'x');
    await symlink('../outside.sql', join(folder, 'inside/a.sql'));
    execFileSync('mkfifo', [join(folder, 'inside/b.sql')]);
    for (const name of ['a.sql', 'b.sql']) {
      const path = join(folder, 'inside', `${name}.metadata.json`);
      await writeFile(path, JSON.stringify(metadata));
      await expect(readBackup(path)).rejects.toMatchObject({code: 'METADATA_INVALID'});
    }
  });

  it('refuses a dump that is a link out of the folder', async () => {
    const record = await writeSampleBackup(join(folder, 'backups'), '2026-01-01T00:00:00Z');
    const dump = join(folder, 'backups', record.backupPath);
    await rename(dump, join(folder, 'outside'));
    await symlink(join(folder, 'outside'), dump);
    await expect(readBackup(join(folder, 'backups', metadataName(record.id)))).rejects.toThrow(
      'leads out of its folder',
    );
  });

  it('names the key that is wrong', async () => {
    const path = join(folder, 'x.metadata.json');
    await writeFile(path, JSON.stringify({...sampleRecord('2026-01-01T00:00:00Z'), size: -1}));
    await expect(readBackup(path)).rejects.toThrow('wrong at "size"');
  });
});

describe('chooseBackup', () => {
  it('takes the newest good one, at or before the asked time, of the asked database', async () => {
    const first = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const second = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    await writeSampleBackup(folder, '2026-01-03T00:00:00Z', {proofs: [bad]});
    await writeSampleBackup(folder, '2026-01-04T00:00:00Z', {databaseName: 'other'});
    const choose = async (choice: Parameters<typeof chooseBackup>[1]) =>
      (await chooseBackup(folder, {own: {database: 'shop', host: 'h', port: 1}, ...choice}, '/')).id;
    expect(await choose({isLatest: true})).toBe(second.id);
    expect(await choose({file: 'latest'})).toBe(second.id);
    expect(await choose({at: new Date('2026-01-02T00:00:00Z')})).toBe(second.id);
    expect(await choose({at: new Date('2026-01-01T23:59:59Z')})).toBe(first.id);
    await expect(choose({at: new Date('2025-12-31T00:00:00Z')})).rejects.toThrow(
      'taken at or before 2025-12-31',
    );
    await expect(choose({own: {database: 'none', host: 'h', port: 1}})).rejects.toThrow(
      expect.objectContaining({code: 'BACKUP_NOT_FOUND', exitCode: 2}) as Error,
    );
  });

  it('takes a newer backup of a part of the database only where there is none of the whole', async () => {
    const {config} = sampleRecord('2026-01-01T00:00:00Z');
    const write = (at: string, part: Partial<typeof config>) =>
      writeSampleBackup(folder, at, {config: {...config, ...part}});
    const choose = async () => (await chooseBackup(folder, {isLatest: true}, '/')).id;
    const schema = await write('2026-01-02T00:00:00Z', {schemaOnly: true});
    expect(await choose()).toBe(schema.id);
    const whole = await write('2026-01-01T00:00:00Z', {excludeTables: ['logs']});
    await write('2026-01-03T00:00:00Z', {dataOnly: true});
    await write('2026-01-04T00:00:00Z', {includeTables: ['orders']});
    await write('2026-01-05T00:00:00Z', {includeSchemas: ['public']});
    expect(await choose()).toBe(whole.id);
  });

  it("takes the own server's of several that have the name, where there are any", async () => {
    const source = {...sampleRecord('2026-01-01T00:00:00Z').source, systemIdentifier: null};
    const write = (below: string, host: string) =>
      writeSampleBackup(folder, `2026-01-0${below}T00:00:00Z`, {source: {...source, host}});
    const one = await write('1', 'one.example');
    const two = await write('2', 'two.example');
    const choose = async (host: string) =>
      (await chooseBackup(folder, {own: {database: 'shop', host, port: 5432}}, '/')).id;
    expect(await choose('one.example')).toBe(one.id);
    expect(await choose('two.example')).toBe(two.id);
    expect(await choose('new.example')).toBe(two.id);
    // What the old scripts made tells no server, and is not left out for that.
    const old = await writeOldScriptBackup(folder, '2026-01-03T00:00:00.000Z');
    expect(await choose('one.example')).toBe(old);
  });

  it('takes an id, a dump, or its metadata file, by absolute or relative path', async () => {
    const {id, backupPath} = await writeSampleBackup(join(folder, 'backups'), '2026-01-01T00:00:00Z');
    const directory = await writeSampleBackup(join(folder, 'backups'), '2026-01-02T00:00:00Z', {
      format: 'directory',
    });
    const choose = async (file: string) => (await chooseBackup(join(folder, 'backups'), {file}, folder)).id;
    for (const name of [
      id,
      `backups/${backupPath}`,
      join(folder, 'backups', backupPath),
      `backups/${metadataName(id)}`,
      `backups/${id}`,
      backupPath,
      metadataName(id),
    ])
      expect(await choose(name)).toBe(id);
    expect(await choose(`backups/${directory.backupPath}/`)).toBe(directory.id);
    await expect(choose('nothing')).rejects.toThrow('There is no backup "nothing"');
  });

  it('takes a backup of the old scripts by its dump, its metadata or its id', async () => {
    const id = await writeOldScriptBackup(folder, '2026-01-03T00:00:00.000Z');
    for (const file of [join(folder, `${id}.dump`), `${id}.dump.metadata.json`, id]) {
      const backup = await chooseBackup(folder, {file}, '/');
      expect(backup).toMatchObject({id, database: 'shop', record: null, format: 'custom'});
    }
  });
});

it('the old scripts named the metadata of a gzip file without its .gz', async () => {
  await mkdir(join(folder, 'old'));
  const metadata = {
    timestamp: '2025-01-01T10:00:00.000Z',
    databaseName: 'shop',
    format: 'sql',
    compressed: true,
    command: 'backup-database.ts',
  };
  await writeFile(join(folder, 'old/shop.sql.metadata.json'), JSON.stringify(metadata));
  await writeFile(join(folder, 'old/shop.sql.gz'), 'gzip');
  const old = join(folder, 'old');
  for (const name of ['shop.sql.metadata.json', 'shop.sql.gz', 'shop']) {
    expect(await chooseBackup(old, {file: name}, old)).toMatchObject({
      id: 'shop',
      path: join(old, 'shop.sql.gz'),
      compressed: true,
      sizeBytes: 4,
      createdAt: new Date('2025-01-01T10:00:00Z'),
    });
  }
});
