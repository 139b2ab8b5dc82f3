import {afterAll, beforeAll} from 'vitest';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {backupSituations} from '../support/fault-situations.js';
import {pointRounds} from '../support/fault-table.js';
import {faultsAt, tellStories} from '../support/tell-stories.js';

let host: FaultServer;
let situations: Awaited<ReturnType<typeof backupSituations>>;
beforeAll(async () => {
  host = await startFaultServer();
  situations = await backupSituations(host);
});
afterAll(async () => {
  await situations.end();
  await host.stop();
});

tellStories('backups', () => host, [
  {
    story: {
      command: 'backup',
      prepare: (round, server) => situations.prepare.backup(round, server),
    },
    faults: faultsAt(
      [
        'backup.reserved', 'backup.dumped', 'backup.synced', 'backup.digested', 'backup.verified',
        'backup.published', 'backup.recorded', 'backup.pruned',
      ],
      [
        ['backup.dumped', 'SIGINT'],
        ['backup.synced', 'error:DISK_FULL'],
        ['backup.published', 'error:DISK_FULL'],
        ['backup.verified', 'SIGTERM'],
      ],
    ), // prettier-ignore
    rounds: pointRounds,
  },
  {
    story: {
      command: 'backup --encrypt-to',
      prepare: (round, server) => situations.prepare['backup encrypted'](round, server),
    },
    faults: faultsAt(['backup.sealed', 'backup.published'], [['backup.sealed', 'error:DISK_FULL']]),
    rounds: pointRounds,
  },
  {
    story: {command: 'prune', prepare: (round, server) => situations.prepare.prune(round, server)},
    faults: faultsAt(
      ['prune.metadata-renamed', 'prune.renamed', 'prune.dump-removed', 'prune.removed'],
      [['prune.metadata-renamed', 'error:WRITE_FAILED']],
    ),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'verify --level restore',
      prepare: (round, server) => situations.prepare.verify(round, server),
    },
    faults: faultsAt(
      [
        'verify.role-made',
        'verify.scratch-made',
        'verify.scratch-marked',
        'verify.loaded',
        'verify.compared',
        'verify.dropped',
      ],
      [
        ['verify.scratch-made', 'error:QUERY_FAILED'],
        ['verify.loaded', 'SIGINT'],
      ],
    ),
    rounds: pointRounds,
  },
]);
