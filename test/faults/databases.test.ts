import {afterAll, beforeAll} from 'vitest';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {databaseSituations} from '../support/fault-situations.js';
import {isLong, pointRounds} from '../support/fault-table.js';
import {atPoint, faultsAt, tellStories} from '../support/tell-stories.js';

let host: FaultServer;
let situations: Awaited<ReturnType<typeof databaseSituations>>;
beforeAll(async () => {
  host = await startFaultServer();
  situations = await databaseSituations(host);
});
afterAll(async () => {
  await situations.end();
  await host.stop();
});

const throughStaging = [
  'staging.made', 'staging.marked', 'staging.filled', 'staging.finished',
  'swap.begun', 'swap.renamed', 'swap.committed',
] as const; // prettier-ignore

tellStories('databases', () => host, [
  {
    story: {
      command: 'restore --drop-existing',
      prepare: (round, server) => situations.prepare['restore over'](round, server),
    },
    faults: faultsAt(throughStaging, [
      ['staging.made', 'error:QUERY_FAILED'],
      ['staging.filled', 'SIGTERM'],
      ['swap.renamed', 'error:CONNECTION_LOST'],
      ['swap.committed', 'error:CONNECTION_LOST'],
    ]),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'restore --create-db',
      prepare: (round, server) => situations.prepare['restore anew'](round, server),
    },
    faults: faultsAt(throughStaging, [['staging.filled', 'error:QUERY_FAILED']]),
    rounds: pointRounds,
  },
  {
    story: {
      command: 'restore into an empty database',
      prepare: (round, server) => situations.prepare['restore into'](round, server),
    },
    faults: faultsAt(['restore.loaded', 'restore.compared'], []),
    rounds: pointRounds,
  },
  {
    story: {command: 'refresh', prepare: (round, server) => situations.prepare.refresh(round, server)},
    faults: isLong
      ? faultsAt(
          [...throughStaging, 'staging.compared', 'staging.masked', 'staging.changed', 'staging.proven'],
          [],
        )
      : [atPoint('staging.changed', 'SIGKILL')],
    rounds: pointRounds,
  },
  {
    story: {command: 'undo', prepare: (round, server) => situations.prepare.undo(round, server)},
    faults: faultsAt(
      ['swap.begun', 'swap.renamed', 'swap.committed'],
      [['swap.renamed', 'error:CONNECTION_LOST']],
    ),
    rounds: pointRounds,
  },
  {
    story: {command: 'recover', prepare: (round, server) => situations.prepare.recover(round, server)},
    faults: faultsAt(
      ['recover.planned', 'recover.one-done', 'recover.all-done'],
      [['recover.planned', 'SIGINT']],
    ),
    rounds: pointRounds,
  },
]);
