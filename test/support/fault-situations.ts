/** The commands of the fault tests, each with its initial state and its allowed results. */
import {generateX25519Identity, identityToRecipient} from 'age-encryption';
import {readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {backupIds, type FaultServer, freshHome, mustRun, needle} from './fault-server.js';
import type {Situation, Story} from './fault-story.js';
import {loadTemplate} from './global-cluster.js';
import {runCli} from './run-cli.js';
import {urlOf} from './temp-database.js';

type Prepare = Story['prepare'];

export interface Situations<Name extends string> {
  readonly prepare: Readonly<Record<Name, Prepare>>;
  end(): Promise<void>;
}

const formats = ['custom', 'sql', 'directory'] as const;

/** The database of a situation, in the program's settings. */
function shopUrl(server: Connection): string {
  return urlOf(withDatabase(server, 'shop'));
}

async function withThreeBackups(host: FaultServer): Promise<{origin: string; ids: string[]}> {
  const origin = await freshHome();
  for (const format of formats) await mustRun(origin, host.urlOf('shop'), 'backup', '--format', format);
  return {origin, ids: (await backupIds(origin)).reverse()};
}

/** Commands that work with backups as files; `origin` contains one of every format. */
export async function backupSituations(
  host: FaultServer,
): Promise<Situations<'backup' | 'backup encrypted' | 'prune' | 'verify' | 'copy'>> {
  await host.reset({shop: 'small_template'});
  const content = await host.contentOf('shop');
  const {origin, ids} = await withThreeBackups(host);
  const situation = async (
    server: Connection,
    args: readonly string[],
    kept: readonly string[],
    isDone: (home: string) => Promise<boolean>,
  ): Promise<Situation> => {
    const home = await freshHome(origin);
    return {
      home,
      url: shopUrl(server),
      args,
      watched: {
        backupsDir: join(home, 'backups'),
        server: host.server,
        databases: {shop: [content]},
        kept,
      },
      isDone: () => isDone(home),
    };
  };
  const recipient = await identityToRecipient(await generateX25519Identity());
  const backup = (round: number, server: Connection, ...more: string[]): Promise<Situation> =>
    situation(
      server,
      ['backup', '--format', formats[(round + 2) % 3] ?? '', ...more],
      ids,
      async (home) => (await backupIds(home)).length === ids.length + 1,
    );
  return {
    prepare: {
      backup,
      'backup encrypted': (round, server) => backup(round, server, '--encrypt-to', recipient),
      prune: (_round, server) =>
        situation(
          server,
          ['prune', '--keep-last', '1', '--keep-min', '1', '--yes'],
          ids.slice(-1),
          async (home) => (await backupIds(home)).length === 1,
        ),
      verify: (round, server) =>
        situation(
          server,
          ['verify', '--backup-file', ids[round % 3] ?? '', '--level', 'restore'],
          ids,
          async (home) => (await readdir(join(home, 'backups', 'database'))).length >= 6,
        ),
      copy: async (round, server) => {
        const id = ids[round % 3] ?? '';
        const made = await situation(server, [], ids, () => Promise.resolve(true));
        // The copy's folder is checked like a backups folder.
        const place = join(made.home, 'backups', 'elsewhere');
        return {
          ...made,
          args: ['copy', '--backup-file', id, '--to', place],
          watched: {...made.watched, copies: place},
          isDone: async () => (await readdir(place)).some((name) => name.endsWith('.metadata.json')),
        };
      },
    },
    end: () => rm(origin, {recursive: true, force: true}),
  };
}

const refresh = ['refresh', '--target-url-env', 'STAGING_URL', '--yes'];

/** With a key, so that each run gives the same content. */
async function configureRefresh(home: string, staging: string): Promise<void> {
  const masks = {'public.menus.name': {mask: 'text'}};
  await writeFile(join(home, 'destino-db.config.json'), JSON.stringify({masks}));
  await writeFile(
    join(home, '.env.local'),
    `STAGING_URL=${staging}\nDESTINO_DB_MASK_KEY=${'k'.repeat(32)}\n`,
  );
}

/** The content of a masked copy; it differs from the backup's. */
async function maskedContent(host: FaultServer, origin: string): Promise<string> {
  const home = await freshHome(origin);
  await host.reset({shop: 'small_template', staging: 'changed_template'});
  await configureRefresh(home, host.urlOf('staging'));
  await mustRun(home, host.urlOf('shop'), ...refresh);
  const [content, before] = [await host.contentOf('staging'), await host.contentOf('shop')];
  if (content === before) throw new Error('no value was masked');
  await rm(home, {recursive: true, force: true});
  return content;
}

const change = `DELETE FROM dishes WHERE id % 3 = 0; UPDATE dishes SET price = 0; CREATE TABLE extra AS SELECT 1 AS one`;

/** Commands that restore a database; the shop has changed since its backups were made. */
export async function databaseSituations(
  host: FaultServer,
): Promise<Situations<'restore over' | 'restore anew' | 'restore into' | 'undo' | 'recover' | 'refresh'>> {
  await host.reset({shop: 'small_template'});
  const backedUp = await host.contentOf('shop');
  const {origin, ids} = await withThreeBackups(host);
  await host.run('CREATE DATABASE changed_template TEMPLATE small_template');
  await host.run(change, 'changed_template');
  const changed = await host.contentOf('changed_template');
  let masked: string | undefined;
  const restore = (round: number, ...more: string[]): string[] => {
    const id = ids[round % 3] ?? '';
    return ['restore', '--backup-file', id, '--yes', ...more];
  };
  const situation = async (
    server: Connection,
    args: readonly string[],
    target: string,
    allowed: readonly (string | null)[],
    wanted: string,
  ): Promise<Situation> => {
    const home = await freshHome(origin);
    return {
      home,
      url: shopUrl(server),
      args,
      watched: {
        backupsDir: join(home, 'backups'),
        server: host.server,
        databases: {shop: [changed, backedUp], [target]: allowed},
        kept: ids,
      },
      isDone: async () => (await host.contentOf(target)) === wanted,
    };
  };
  return {
    prepare: {
      'restore over': async (round, server) => {
        await host.reset({shop: 'changed_template'});
        const args = restore(round, '--drop-existing');
        return situation(server, args, 'shop', [changed, backedUp], backedUp);
      },
      'restore anew': async (round, server) => {
        await host.reset({shop: 'changed_template'});
        const args = restore(round, '--create-db', '--target-db', 'copy');
        return situation(server, args, 'copy', [null, backedUp], backedUp);
      },
      'restore into': async (round, server) => {
        await host.reset({shop: 'changed_template', empty: 'template0'});
        const args = restore(round, '--target-db', 'empty');
        return situation(server, args, 'empty', ['no tables', backedUp], backedUp);
      },
      undo: async (round, server) => {
        await host.reset({shop: 'changed_template'});
        const made = await situation(server, ['undo', '--yes'], 'shop', [changed, backedUp], changed);
        await mustRun(made.home, host.urlOf('shop'), ...restore(round, '--drop-existing'));
        return made;
      },
      refresh: async (round, server) => {
        masked ??= await maskedContent(host, origin);
        await host.reset({shop: 'small_template', staging: 'changed_template'});
        const args = [...refresh, ids[round % 3] ?? ''];
        const made = await situation(server, args, 'staging', [changed, masked], masked);
        await configureRefresh(made.home, urlOf(withDatabase(server, 'staging')));
        return made;
      },
      recover: async (round, server) => {
        await host.reset({shop: 'changed_template'});
        const made = await situation(server, ['recover', '--yes'], 'shop', [changed], changed);
        const broken = (args: readonly string[], fault: string) =>
          runCli(args, {cwd: made.home, env: {DIRECT_URL: made.url, DESTINO_DB_FAULT: `${fault}=SIGKILL`}});
        await broken(restore(round, '--drop-existing'), 'staging.filled');
        await broken(['backup'], 'backup.verified');
        return made;
      },
    },
    end: () => rm(origin, {recursive: true, force: true}),
  };
}

const clean = ['orders:clean', '--execute', '--yes', '--json'];

/** Commands that delete and restore orders, on the sample shop. */
export async function orderSituations(
  host: FaultServer,
): Promise<Situations<'clean' | 'clean with indexes' | 'restore orders' | 'rows back' | 'rows undone'>> {
  await loadTemplate(host.server);
  await host.run(`UPDATE orders SET notes = '${needle}' WHERE email = 'qa@test.com'`, 'shop_template');
  await host.reset({shop: 'shop_template'});
  const whole = await host.contentOf('shop');
  const origin = await freshHome();
  const run = await runCli(clean, {cwd: origin, env: {DIRECT_URL: host.urlOf('shop')}});
  const {tables} = run.json() as {tables: Record<string, {deleted: number}>};
  const deleted = Object.values(tables).reduce((sum, table) => sum + table.deleted, 0);
  const after = await host.contentOf('shop');
  await host.run('CREATE DATABASE cleaned_template TEMPLATE shop');
  const rows = await rowsBack(host);
  const situation = (
    server: Connection,
    home: string,
    args: readonly string[],
    wanted: string,
  ): Situation => ({
    home,
    url: shopUrl(server),
    args,
    watched: {
      backupsDir: join(home, 'backups'),
      server: host.server,
      databases: {shop: [whole, after]},
      kept: [],
      cleaned: {database: 'shop', after, rows: deleted},
    },
    isDone: async () => (await host.contentOf('shop')) === wanted,
  });
  return {
    prepare: {
      clean: async (_round, server) => {
        await host.reset({shop: 'shop_template'});
        return situation(server, await freshHome(), clean, after);
      },
      // A foreign key without an index, so that the cleaning makes a temporary one.
      'clean with indexes': async (_round, server) => {
        await host.reset({shop: 'shop_template'});
        await host.run('DROP INDEX "payments_orderId_idx"', 'shop');
        const args = [...clean, '--create-missing-indexes'];
        const made = situation(server, await freshHome(), args, after);
        return {...made, watched: {...made.watched, temporaryIndexes: 'shop'}};
      },
      'restore orders': async (_round, server) => {
        await host.reset({shop: 'cleaned_template'});
        const args = ['orders:restore', '--backup-file', 'latest', '--execute', '--no-confirm'];
        return situation(server, await freshHome(origin), args, whole);
      },
      ...rows.prepare,
    },
    end: async () => {
      await rows.end();
      await rm(origin, {recursive: true, force: true});
    },
  };
}

const rowsArgs =
  'restore:rows --table public.orders --table public.order_items --all --execute --no-confirm'.split(' ');

/** Some rows were deleted and changed since the backup, and then restored. */
async function rowsBack(host: FaultServer): Promise<Situations<'rows back' | 'rows undone'>> {
  await host.reset({shop: 'shop_template'});
  const origin = await freshHome();
  await mustRun(origin, host.urlOf('shop'), 'backup');
  const kept = await backupIds(origin);
  await host.run(
    `DELETE FROM order_items WHERE id::text < '8'; UPDATE orders SET notes = 'wrong'; INSERT INTO categories SELECT (jsonb_populate_record(c, '{"id": "00000000-0000-0000-0000-000000000001", "name": "new", "slug": "new", "squareId": null}')).* FROM categories c LIMIT 1`,
    'shop',
  );
  const damaged = await host.contentOf('shop');
  await host.run('CREATE DATABASE damaged_template TEMPLATE shop');
  const restored = await freshHome(origin);
  await mustRun(restored, host.urlOf('shop'), ...rowsArgs);
  const back = await host.contentOf('shop');
  await host.run('CREATE DATABASE back_template TEMPLATE shop');
  const situation = (
    server: Connection,
    home: string,
    args: readonly string[],
    wanted: string,
  ): Situation => ({
    home,
    url: shopUrl(server),
    args,
    watched: {
      backupsDir: join(home, 'backups'),
      server: host.server,
      databases: {shop: [damaged, back]},
      kept,
      rowsBack: {database: 'shop', after: back},
    },
    isDone: async () => (await host.contentOf('shop')) === wanted,
  });
  return {
    prepare: {
      'rows back': async (_round, server) => {
        await host.reset({shop: 'damaged_template'});
        return situation(server, await freshHome(origin), rowsArgs, back);
      },
      'rows undone': async (_round, server) => {
        await host.reset({shop: 'back_template'});
        const args = ['restore:rows', '--undo', 'latest', '--execute', '--no-confirm'];
        return situation(server, await freshHome(restored), args, damaged);
      },
    },
    end: async () => {
      for (const home of [origin, restored]) await rm(home, {recursive: true, force: true});
    },
  };
}
