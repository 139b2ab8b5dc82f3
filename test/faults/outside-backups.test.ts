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
      serverRestartsInCopy, serverCrashesInCopy, killedInCopy, interruptedInCopy('SIGINT'),
      serverRestarts('backup.dumped'), serverCrashes('backup.reserved'), sessionsEnd('backup.dumped'),
      fileSizeLimit(1), fileSizeLimit(4), toolHangs('pg_dump'),
      clockJumps('backup.reserved', -day), clockJumps('backup.verified', day),
      ...whereDisksCanBeMade(
        diskFilled('backup.reserved'), diskFilled('backup.verified'), diskFilled('backup.published'), diskFilled('backup.recorded'),
      ),
      ...whereModesHold((rights) => [
        folderReadOnly('backup.reserved', rights), folderReadOnly('backup.verified', rights),
        folderReadOnly('backup.recorded', rights),
      ]),
      ...(isLong ? [toolHangs('pg_dump', true), interruptedInCopy('SIGTERM'), serverCrashes('backup.published')] : []),
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
      connectionReset, connectionSilent, toolKilled, serverCrashesInCopy, interruptedInCopy('SIGINT'),
      serverRestarts('verify.loaded'), sessionsEnd('verify.scratch-marked'), toolHangs('pg_restore'),
      ...whereDisksCanBeMade(diskFilled('verify.loaded')),
      ...(isLong
        ? [
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
