/**
 * vitest global setup: one real S3 server (Ceph's RADOS gateway) for the run. Never skipped: without the server the tests fail. It starts
 * while tests run that do not need it; `test/support/bucket.ts` waits for it.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import type {TestProject} from 'vitest/node';

export interface ObjectStore {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Contains ceph.conf, with which more gateways are started, and "ready" once the server answers; a server that ends removes it. */
  readonly folder: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    objectStore: ObjectStore;
  }
}

const script = fileURLToPath(new URL('../../scripts/ceph-rgw.sh', import.meta.url));

let server: ChildProcess | undefined;

export async function setup(project: TestProject): Promise<void> {
  // Its stdin is a pipe from this process: when this process ends, for any reason, the pipe closes and the server stops.
  const started = spawn('bash', [script], {stdio: ['pipe', 'pipe', 'inherit']});
  server = started;
  const store = await new Promise<ObjectStore>((resolve, reject) => {
    createInterface({input: started.stdout}).once('line', (line) => resolve(JSON.parse(line) as ObjectStore));
    started.once('error', reject);
    started.once('close', (code) => reject(new Error(`scripts/ceph-rgw.sh ended with status ${code}`)));
  });
  project.provide('objectStore', store);
}

export async function teardown(): Promise<void> {
  if (!server || server.exitCode !== null) return;
  const gone = new Promise((resolve) => server?.once('close', resolve));
  server.stdin?.end();
  await gone;
}
