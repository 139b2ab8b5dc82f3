import {afterAll, beforeAll} from 'vitest';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {backupSituations} from '../support/fault-situations.js';
import {isLong} from '../support/fault-table.js';
import {
  clockJumps, connectionCut, connectionDelayed, connectionReset, connectionSilent, diskFilled, fileSizeLimit,
  folderReadOnly, interruptedInCopy, killedInCopy, serverCrashes, serverCrashesInCopy, serverRestarts,
  serverRestartsInCopy, sessionsEnd, sessionsEndInCopy, toolHangs, toolKilled, whereDisksCanBeMade, whereModesHold,
} from '../support/outside-faults.js'; // prettier-ignore
import {tellStories} from '../support/tell-stories.js';

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

const day = 24;

tellStories('outside-backups', () => host, [
  {
    story: {command: 'backup', prepare: (round, server) => situations.prepare.backup(round, server)},
    faults: [
      connectionReset, connectionCut, connectionDelayed, connectionSilent, toolKilled, sessionsEndInCopy,
      serverCrashesInCopy, interruptedInCopy('SIGINT'), serverRestarts('backup.dumped'), fileSizeLimit(1),
      toolHangs('pg_dump'), clockJumps('backup.reserved', -day),
      ...whereDisksCanBeMade(diskFilled('backup.verified')),
      ...whereModesHold((rights) => [folderReadOnly('backup.recorded', rights)]),
      ...(isLong
        ? [
            serverRestartsInCopy, killedInCopy, serverCrashes('backup.reserved'), sessionsEnd('backup.dumped'), fileSizeLimit(4),
            clockJumps('backup.verified', day), toolHangs('pg_dump', true), interruptedInCopy('SIGTERM'), serverCrashes('backup.published'),
            ...whereDisksCanBeMade(diskFilled('backup.reserved'), diskFilled('backup.published'), diskFilled('backup.recorded')),
            ...whereModesHold((rights) => [folderReadOnly('backup.reserved', rights), folderReadOnly('backup.verified', rights)]),
          ]
        : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'prune', prepare: (round, server) => situations.prepare.prune(round, server)},
    faults: [
      clockJumps('prune.metadata-renamed', day),
      ...whereDisksCanBeMade(diskFilled('prune.metadata-renamed')),
      ...whereModesHold((rights) => [
        folderReadOnly('prune.metadata-renamed', rights), folderReadOnly('prune.renamed', rights),
      ]),
    ],
    rounds: 1,
  },
  {
    story: {
      command: 'verify --level restore',
      prepare: (round, server) => situations.prepare.verify(round, server),
    },
    faults: [
      connectionReset, toolKilled, serverCrashesInCopy, interruptedInCopy('SIGINT'), sessionsEnd('verify.scratch-marked'),
      ...(isLong
        ? [
            connectionSilent, serverRestarts('verify.loaded'), toolHangs('pg_restore'), ...whereDisksCanBeMade(diskFilled('verify.loaded')),
            connectionCut, connectionDelayed, sessionsEndInCopy, serverRestartsInCopy, killedInCopy, fileSizeLimit(0),
            serverCrashes('verify.scratch-made'), serverCrashes('verify.compared'), clockJumps('verify.loaded', day),
            ...whereModesHold((rights) => [folderReadOnly('verify.compared', rights)]),
          ]
        : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'copy', prepare: (round, server) => situations.prepare.copy(round, server)},
    faults: [fileSizeLimit(1), fileSizeLimit(4)],
    rounds: 1,
  },
]); // prettier-ignore
