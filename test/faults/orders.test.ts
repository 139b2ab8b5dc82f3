import {afterAll, beforeAll} from 'vitest';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {orderSituations} from '../support/fault-situations.js';
import {pointRounds} from '../support/fault-table.js';
import {faultsAt, tellStories} from '../support/tell-stories.js';

let host: FaultServer;
let situations: Awaited<ReturnType<typeof orderSituations>>;
beforeAll(async () => {
  host = await startFaultServer();
  situations = await orderSituations(host);
});
afterAll(async () => {
  await situations.end();
  await host.stop();
});

tellStories('orders', () => host, [
  {
    story: {command: 'orders:clean', prepare: (round, server) => situations.prepare.clean(round, server)},
    faults: faultsAt(
      ['clean.locked', 'clean.file-written', 'clean.file-named', 'clean.deleted', 'clean.committed'],
      [
        ['clean.file-written', 'SIGINT'],
        ['clean.deleted', 'SIGTERM'],
        ['clean.file-named', 'error:CONNECTION_LOST'],
        ['clean.committed', 'error:CONNECTION_LOST'],
      ],
    ),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'orders:clean --create-missing-indexes',
      prepare: (round, server) => situations.prepare['clean with indexes'](round, server),
    },
    faults: faultsAt(
      ['clean.indexed', 'clean.deleted', 'clean.committed'],
      [['clean.indexed', 'error:CONNECTION_LOST']],
    ),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'orders:restore',
      prepare: (round, server) => situations.prepare['restore orders'](round, server),
    },
    faults: faultsAt(
      ['orders.staged', 'orders.inserted', 'orders.committed'],
      [['orders.inserted', 'error:QUERY_FAILED']],
    ),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'restore:rows',
      prepare: (round, server) => situations.prepare['rows back'](round, server),
    },
    faults: faultsAt(
      [
        'rows.staged',
        'rows.locked',
        'rows.undo-written',
        'rows.undo-named',
        'rows.written',
        'rows.committed',
      ],
      [
        ['rows.undo-named', 'error:CONNECTION_LOST'],
        ['rows.written', 'SIGINT'],
      ],
    ),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'restore:rows --undo',
      prepare: (round, server) => situations.prepare['rows undone'](round, server),
    },
    faults: faultsAt(['rows.locked', 'rows.written', 'rows.committed'], [['rows.written', 'SIGTERM']]),
    rounds: pointRounds,
  },
]);
