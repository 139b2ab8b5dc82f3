import {execFileSync} from 'node:child_process';
import {mkdir, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {
  type Backup,
  type BackupChoice,
  type OwnDatabase,
  readBackup,
  readCatalogue,
} from '../../../src/lib/catalog/catalogue.js';
import {localPlace} from '../../../src/lib/storage/local-place.js';
import {chooseBackup as chooseIn} from '../../../src/lib/storage/place-catalogue.js';
import {metadataName} from '../../../src/lib/catalog/backup-name.js';
import {
  type BackupRecord,
  formatBackupRecord,
  type Verification,
} from '../../../src/lib/catalog/backup-record.js';
import {checkFiles} from '../../../src/lib/catalog/check-files.js';
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

  it('lists neither a dump without metadata nor unfinished work as a backup', async () => {
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

  it('reports unusable metadata and continues with the others', async () => {
    const record = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const gone = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    await rm(join(folder, gone.backupPath));
    await writeFile(join(folder, 'a.metadata.json'), '{');
    await writeFile(join(folder, 'b.metadata.json'), '{"command": "backup-database.ts"}');
    const {backups, problems} = await readCatalogue(folder);
    expect(backups.map(({id}) => id)).toEqual([record.id]);
    expect(problems.map(({reason}) => reason)).toEqual([
      expect.stringContaining('Cannot read backup metadata'),
      expect.stringContaining('of the old scripts'),
      expect.stringContaining('is missing'),
    ]);
  });

  it('reads a folder that was moved', async () => {
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

  it('reveals nothing of a file that metadata links to, and does not wait for a pipe', async () => {
    await writeFile(join(folder, 'elsewhere.txt'), 'root:x:secret');
    await symlink(join(folder, 'elsewhere.txt'), join(folder, 'a.metadata.json'));
    execFileSync('mkfifo', [join(folder, 'b.metadata.json')]);
    await symlink(folder, join(folder, 'c.metadata.json'));
    await symlink('d.metadata.json', join(folder, 'd.metadata.json'));
    const {backups, problems} = await readCatalogue(folder);
    expect([backups.length, problems.length]).toEqual([0, 4]);
    expect(JSON.stringify(problems)).not.toContain('root:x');
  });

  it('reports a dump that was removed meanwhile', async () => {
    for (const format of ['directory', 'custom'] as const) {
      const record = await writeSampleBackup(join(folder, format), '2026-01-01T00:00:00Z', {format});
      const backup = await readBackup(join(folder, format, metadataName(record.id)));
      await rm(backup.path, {recursive: true});
      await expect(checkFiles(backup)).rejects.toMatchObject({code: 'READ_FAILED'});
    }
  });

  it('refuses a dump folder that contains more than files', async () => {
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

  it('names the wrong key', async () => {
    const path = join(folder, 'x.metadata.json');
    await writeFile(path, JSON.stringify({...sampleRecord('2026-01-01T00:00:00Z'), size: -1}));
    await expect(readBackup(path)).rejects.toThrow('not valid at "size"');
  });
});

const chooseBackup = (from: string, choice: BackupChoice, cwd: string): Promise<Backup> =>
  chooseIn(localPlace(from), choice, cwd);

describe('chooseBackup', () => {
  const own = {database: 'shop', host: 'db.example', port: 5432};

  it('selects the newest intact one of the given database, at or before the given time', async () => {
    const first = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const second = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    await writeSampleBackup(folder, '2026-01-03T00:00:00Z', {proofs: [bad]});
    await writeSampleBackup(folder, '2026-01-04T00:00:00Z', {databaseName: 'other'});
    const choose = async (choice: Parameters<typeof chooseBackup>[1]) =>
      (await chooseBackup(folder, {own, ...choice}, '/')).id;
    expect(await choose({})).toBe(second.id);
    expect(await choose({file: 'latest'})).toBe(second.id);
    expect(await choose({at: new Date('2026-01-02T00:00:00Z')})).toBe(second.id);
    expect(await choose({at: new Date('2026-01-01T23:59:59Z')})).toBe(first.id);
    await expect(choose({at: new Date('2025-12-31T00:00:00Z')})).rejects.toThrow(
      'taken at or before 2025-12-31',
    );
  });

  it('never selects a safety backup made by a restore', async () => {
    const good = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    await writeSampleBackup(folder, '2026-01-02T00:00:00Z', {label: 'safety'});
    expect((await chooseBackup(folder, {own}, '/')).id).toBe(good.id);
  });

  it('never selects a partial backup instead of a complete one, even if there is no other', async () => {
    const {config} = sampleRecord('2026-01-01T00:00:00Z');
    const write = (at: string, part: Partial<typeof config>) =>
      writeSampleBackup(folder, at, {config: {...config, ...part}});
    const choose = async () => (await chooseBackup(folder, {own}, '/')).id;
    const schema = await write('2026-01-02T00:00:00Z', {schemaOnly: true});
    await expect(choose()).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      details: [`${schema.id}: definitions only, without rows`],
    });
    const whole = await write('2026-01-01T00:00:00Z', {excludeTables: ['logs']});
    await write('2026-01-03T00:00:00Z', {dataOnly: true});
    await write('2026-01-04T00:00:00Z', {includeTables: ['orders']});
    await write('2026-01-05T00:00:00Z', {includeSchemas: ['public']});
    await writeSampleBackup(folder, '2026-01-06T00:00:00Z', {content: 'tables'});
    expect(await choose()).toBe(whole.id);
  });

  it('never selects one of another database, host or cluster, and lists the existing ones', async () => {
    const source = sampleRecord('2026-01-01T00:00:00Z').source;
    const write = (below: string, changes: Partial<typeof source>) =>
      writeSampleBackup(folder, `2026-01-0${below}T00:00:00Z`, {source: {...source, ...changes}});
    const unknown = {systemIdentifier: null};
    const one = await write('1', {...unknown, host: 'one.example'});
    const two = await write('2', {...unknown, host: 'two.example'});
    const choose = async (changes: Partial<OwnDatabase>) =>
      (await chooseBackup(folder, {own: {...own, ...changes}}, '/')).id;
    expect(await choose({host: 'one.example'})).toBe(one.id);
    expect(await choose({host: 'TWO.example.'})).toBe(two.id);
    await expect(choose({host: 'new.example'})).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      exitCode: 2,
      message: `There is no usable backup of shop at new.example:5432 in ${folder}. Its backups are of other databases.`,
      details: [`shop at two.example:5432: newest ${two.id}`, `shop at one.example:5432: newest ${one.id}`],
    });
    await expect(choose({database: 'none'})).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
    // If the cluster's number is known, it decides, whatever the address.
    const cluster = await write('3', {host: 'three.example', systemIdentifier: '73'});
    expect(await choose({host: '10.0.0.3', systemIdentifier: '73'})).toBe(cluster.id);
    await expect(choose({host: 'three.example', systemIdentifier: '74'})).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    });
    // By another address of the same server: a backup by this address has the number.
    const other = await write('4', {host: '10.0.0.3', systemIdentifier: '73'});
    expect(await choose({host: 'three.example'})).toBe(other.id);
    // Backups of the old scripts have no server, and are not left out for that.
    const old = await writeOldScriptBackup(folder, '2026-01-05T00:00:00.000Z');
    expect(await choose({host: 'one.example'})).toBe(old);
  });

  it('never selects another project at the same pooler: every Supabase database is called postgres', async () => {
    const source = {
      ...sampleRecord('2026-01-01T00:00:00Z').source,
      systemIdentifier: null,
      host: 'aws-0-eu.pooler.supabase.com',
    };
    const write = (below: string, project: string) =>
      writeSampleBackup(folder, `2026-01-0${below}T00:00:00Z`, {
        databaseName: 'postgres',
        source: {...source, project},
      });
    const mine = await write('1', 'mine');
    await write('2', 'other');
    const choose = async (host: string) =>
      (await chooseBackup(folder, {own: {database: 'postgres', host, port: 5432, project: 'mine'}}, '/')).id;
    expect(await choose(source.host)).toBe(mine.id);
    expect(await choose('db.mine.supabase.co')).toBe(mine.id);
  });

  it('does not choose between several databases without a URL', async () => {
    const one = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    expect((await chooseBackup(folder, {}, '/')).id).toBe(one.id);
    await writeSampleBackup(folder, '2026-01-02T00:00:00Z', {databaseName: 'blog'});
    await expect(chooseBackup(folder, {}, '/')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      details: [expect.stringContaining('blog at'), expect.stringContaining('shop at')],
    });
  });

  it('accepts an id, a dump, or its metadata file, by absolute or relative path', async () => {
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

  it('takes the beginning of one id, and the id that others begin with', async () => {
    const first = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const again = await writeSampleBackup(folder, '2026-01-01T00:00:00Z', {id: `${first.id}-2`});
    const other = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    const choose = async (file: string) => (await chooseBackup(folder, {file}, '/')).id;
    expect(await choose('shop-2026-01-02')).toBe(other.id);
    expect(await choose(`${first.id}-`)).toBe(again.id);
    expect(await choose(first.id)).toBe(first.id);
  });

  it('names the ids that begin alike, and the one nearest to an unknown one', async () => {
    const one = await writeSampleBackup(folder, '2026-01-01T00:00:00Z');
    const two = await writeSampleBackup(folder, '2026-01-02T00:00:00Z');
    const choose = (file: string) => chooseBackup(folder, {file}, '/');
    await expect(choose('shop-2026-01-0')).rejects.toMatchObject({
      code: 'USAGE',
      exitCode: 2,
      message: `The ids of 2 backups in ${folder} begin with "shop-2026-01-0"; nothing was done.`,
      details: [two.id, one.id],
    });
    await expect(choose('shpo-2026-01-02')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: expect.stringContaining(`Did you mean "${two.id}"?`) as string,
    });
    await expect(choose(`${one.id}-9`)).rejects.toThrow(`Did you mean "${one.id}"?`);
    await expect(choose('latets')).rejects.toThrow('Did you mean "latest"?');
  });

  it('leaves a dump without metadata that is named like the beginning of an id to restore and verify', async () => {
    await writeSampleBackup(join(folder, 'backups'), '2026-01-01T00:00:00Z');
    const choose = (file: string) => chooseBackup(join(folder, 'backups'), {file}, folder);
    await mkdir(join(folder, 'shop'));
    expect(await choose('shop')).toMatchObject({database: 'shop'});
    await writeFile(join(folder, 'shop/toc.dat'), 'PGDMP');
    await expect(choose('shop')).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
    await writeFile(join(folder, 'sho'), 'PGDMP');
    await expect(choose('sho')).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
    await expect(choose('./sh')).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
  });

  it('accepts a backup of the old scripts by its dump, its metadata or its id', async () => {
    const id = await writeOldScriptBackup(folder, '2026-01-03T00:00:00.000Z');
    for (const file of [join(folder, `${id}.dump`), `${id}.dump.metadata.json`, id]) {
      const backup = await chooseBackup(folder, {file}, '/');
      expect(backup).toMatchObject({id, database: 'shop', record: null, format: 'custom'});
    }
  });
});

it('finds metadata of the old scripts for a gzip file, named without .gz', async () => {
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
