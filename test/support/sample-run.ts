/** A recorded run for tests; `changes` replace whole keys. */
import {randomUUID} from 'node:crypto';
import {noFacts, type RunRecord} from '../../src/lib/run/run-record.js';

export function sampleRun(changes: Partial<RunRecord> = {}): RunRecord {
  return {
    schemaVersion: 1,
    runId: randomUUID(),
    command: 'backup',
    toolVersion: '0.1.0',
    user: 'backup',
    host: 'ops.example',
    startedAt: '2026-11-22T02:00:00.000Z',
    duration: 1200,
    outcome: 'ok',
    exitCode: 0,
    errorCode: null,
    errorMessage: null,
    ...noFacts,
    database: {name: 'shop', systemIdentifier: '7300000000000000001', host: 'db.example', port: 5432},
    warnings: [],
    ...changes,
  };
}
