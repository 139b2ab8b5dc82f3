import {afterAll, beforeAll} from 'vitest';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {databaseSituations, orderSituations} from '../support/fault-situations.js';
import {isLong} from '../support/fault-table.js';
import {
  clockJumps, connectionCut, connectionDelayed, connectionReset, connectionSilent, diskFilled, fileSizeLimit,
  folderReadOnly, interruptedInCopy, killedInCopy, serverCrashes, serverCrashesInCopy, serverRestarts,
  serverRestartsInCopy, sessionsEnd, sessionsEndInCopy, toolHangs, toolKilled, whereDisksCanBeMade, whereModesHold,
} from '../support/outside-faults.js'; // prettier-ignore
import {tellStories} from '../support/tell-stories.js';

let host: FaultServer;
let databases: Awaited<ReturnType<typeof databaseSituations>>;
let orders: Awaited<ReturnType<typeof orderSituations>>;
beforeAll(async () => {
  host = await startFaultServer();
  databases = await databaseSituations(host);
  orders = await orderSituations(host);
});
afterAll(async () => {
  await databases.end();
  await orders.end();
  await host.stop();
});

const day = 24;

tellStories('outside-databases', () => host, [
  {
    story: {
      command: 'restore --drop-existing',
      prepare: (round, server) => databases.prepare['restore over'](round, server),
    },
    faults: [
      connectionReset, toolKilled, interruptedInCopy('SIGINT'), serverRestarts('swap.begun'), serverCrashes('swap.renamed'),
      sessionsEnd('staging.filled'),
      ...whereDisksCanBeMade(diskFilled('staging.finished')),
      ...(isLong
        ? [
            connectionSilent, serverCrashesInCopy, serverCrashes('swap.committed'), sessionsEnd('swap.renamed'),
            toolHangs('pg_restore'), clockJumps('staging.filled', -day),
            ...whereModesHold((rights) => [folderReadOnly('staging.made', rights)]),
            connectionCut, connectionDelayed, sessionsEndInCopy, serverRestartsInCopy, killedInCopy,
            interruptedInCopy('SIGTERM'), serverRestarts('staging.filled'), serverRestarts('swap.renamed'),
            serverCrashes('staging.made'), sessionsEnd('swap.begun'), clockJumps('swap.begun', day), fileSizeLimit(0),
          ]
        : []),
    ],
    rounds: 1,
  },
  // refresh-kill.test.ts has its short form.
  ...(isLong
    ? [
        {
          story: {
            command: 'refresh',
            prepare: (round: number, server: Connection) => databases.prepare.refresh(round, server),
          },
          faults: [
            connectionReset, connectionCut, connectionSilent, sessionsEnd('staging.masked'), sessionsEnd('staging.proven'),
            serverCrashes('staging.masked'), serverRestarts('staging.proven'), ...whereDisksCanBeMade(diskFilled('staging.compared')),
          ],
          rounds: 1,
        },
      ]
    : []),
  {
    story: {
      command: 'restore into an empty database',
      prepare: (round, server) => databases.prepare['restore into'](round, server),
    },
    faults: [
      // Here pg_restore writes SQL for the program's session and has already ended; restore-database.test.ts kills it earlier.
      connectionReset, interruptedInCopy('SIGTERM'),
      ...(isLong
        ? [
            connectionCut, connectionDelayed, connectionSilent, sessionsEndInCopy, serverRestartsInCopy,
            serverCrashesInCopy, serverRestarts('restore.loaded'), serverCrashes('restore.loaded'),
          ]
        : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'undo', prepare: (round, server) => databases.prepare.undo(round, server)},
    faults: [
      serverRestarts('swap.begun'), serverCrashes('swap.renamed'),
      ...(isLong ? [serverRestarts('swap.renamed'), serverCrashes('swap.committed'), sessionsEnd('swap.begun'), sessionsEnd('swap.renamed')] : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'recover', prepare: (round, server) => databases.prepare.recover(round, server)},
    faults: [
      serverRestarts('recover.planned'), serverCrashes('recover.one-done'),
      ...(isLong
        ? [sessionsEnd('recover.planned'), ...whereModesHold((rights) => [folderReadOnly('recover.planned', rights)])]
        : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'orders:clean', prepare: (round, server) => orders.prepare.clean(round, server)},
    faults: [
      connectionReset, serverCrashesInCopy, interruptedInCopy('SIGINT'), serverCrashes('clean.committed'), sessionsEnd('clean.deleted'),
      fileSizeLimit(1),
      ...whereDisksCanBeMade(diskFilled('clean.file-written')),
      ...(isLong
        ? [connectionSilent, sessionsEndInCopy, serverRestarts('clean.file-named'), serverCrashes('clean.deleted'), fileSizeLimit(64), clockJumps('clean.locked', day),
           ...whereDisksCanBeMade(diskFilled('clean.locked'), diskFilled('clean.committed')),
           ...whereModesHold((rights) => [folderReadOnly('clean.file-written', rights), folderReadOnly('clean.deleted', rights)]),
           connectionCut, connectionDelayed, serverRestartsInCopy, killedInCopy, interruptedInCopy('SIGTERM'), serverCrashes('clean.file-named'), serverRestarts('clean.deleted')]
        : []),
    ],
    rounds: 1,
  },
  {
    story: {command: 'orders:restore', prepare: (round, server) => orders.prepare['restore orders'](round, server)},
    faults: [
      connectionReset, interruptedInCopy('SIGINT'), serverCrashes('orders.inserted'), sessionsEnd('orders.inserted'),
      ...(isLong
        ? [connectionSilent, serverCrashesInCopy, serverRestarts('orders.staged'), serverCrashes('orders.committed'),
           connectionCut, connectionDelayed, serverRestartsInCopy, sessionsEndInCopy, killedInCopy, interruptedInCopy('SIGTERM'), clockJumps('orders.staged', -day)]
        : []),
    ],
    rounds: 1,
  },
]); // prettier-ignore
