import {generateX25519Identity, identityToRecipient} from 'age-encryption';
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll} from 'vitest';
import {backupIds, type FaultServer, freshHome, mustRun, startFaultServer} from '../support/fault-server.js';
import {type Situation, tellStories} from '../support/fault-story.js';

let host: FaultServer;
/** Holds three backups, oldest first in `ids`. */
let origin = '';
let ids: string[] = [];
let content = '';

beforeAll(async () => {
  host = await startFaultServer();
  await host.reset({shop: 'small_template'});
  content = await host.contentOf('shop');
  origin = await freshHome();
  for (const format of ['custom', 'sql', 'directory'])
    await mustRun(origin, host.urlOf('shop'), 'backup', '--format', format);
  ids = (await backupIds(origin)).reverse();
});
afterAll(async () => {
  await host.stop();
  await rm(origin, {recursive: true, force: true});
});

interface Wanted {
  readonly args: readonly string[];
  readonly kept: readonly string[];
  readonly isDone: (home: string) => Promise<boolean>;
}

async function situation({args, kept, isDone}: Wanted): Promise<Situation> {
  const home = await freshHome(origin);
  return {
    home,
    url: host.urlOf('shop'),
    args,
    watched: {
      backupsDir: join(home, 'backups'),
      server: host.server,
      databases: {shop: [content]},
      kept,
    },
    isDone: () => isDone(home),
  };
}

tellStories('backups', [
  {
    command: 'backup',
    points: [
      'backup.reserved', 'backup.dumped', 'backup.synced', 'backup.digested', 'backup.verified',
      'backup.published', 'backup.recorded', 'backup.pruned',
    ], // prettier-ignore
    also: [
      ['backup.dumped', 'SIGINT'],
      ['backup.synced', 'error:DISK_FULL'],
      ['backup.published', 'error:DISK_FULL'],
      ['backup.verified', 'SIGTERM'],
    ],
    prepare: async (round) => ({
      ...(await situation({
        args: ['backup', '--format', ['directory', 'custom', 'sql'][round % 3] ?? ''],
        kept: ids.slice(-1),
        isDone: async (home) => (await backupIds(home)).some((id) => !ids.includes(id)),
      })),
    }),
  },
  {
    command: 'backup --encrypt-to',
    points: ['backup.sealed', 'backup.published'],
    also: [['backup.sealed', 'error:DISK_FULL']],
    prepare: async (round) =>
      situation({
        args: [
          'backup',
          '--format',
          ['directory', 'custom', 'sql'][round % 3] ?? '',
          '--encrypt-to',
          await identityToRecipient(await generateX25519Identity()),
        ],
        kept: ids.slice(-1),
        isDone: async (home) => (await backupIds(home)).some((id) => !ids.includes(id)),
      }),
  },
  {
    command: 'prune',
    points: ['prune.metadata-renamed', 'prune.renamed', 'prune.dump-removed', 'prune.removed'],
    also: [['prune.metadata-renamed', 'error:WRITE_FAILED']],
    prepare: () =>
      situation({
        args: ['prune', '--keep-last', '1', '--keep-min', '1', '--yes'],
        kept: ids.slice(-1),
        isDone: async (home) => (await backupIds(home)).length === 1,
      }),
  },
  {
    command: 'verify --level restore',
    points: [
      'verify.scratch-made', 'verify.scratch-marked', 'verify.loaded', 'verify.compared', 'verify.dropped',
    ], // prettier-ignore
    also: [
      ['verify.scratch-made', 'error:QUERY_FAILED'],
      ['verify.loaded', 'SIGINT'],
    ],
    prepare: (round) =>
      situation({
        args: ['verify', '--backup-file', ids[round % 3] ?? '', '--level', 'restore'],
        kept: ids,
        isDone: async (home) => (await readdir(join(home, 'backups', 'database'))).length >= 6,
      }),
  },
]);
