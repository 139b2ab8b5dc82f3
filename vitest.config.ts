import {defineConfig} from 'vitest/config';
import {serverBinFolders} from './src/lib/postgres/tools/local-cluster.js';
import {isLongForm} from './test/support/long-form.js';
import {EvenSequencer} from './test/support/sequencer.js';

// Unit and contract tests need no server; postgres and e2e tests share one throw-away cluster.
const server = {
  globalSetup: ['test/support/temp-root.ts', 'test/support/global-cluster.ts'],
  testTimeout: 300_000,
  hookTimeout: 300_000,
  pool: 'forks' as const,
};

const fuzzTimeout = process.env['DESTINO_TEST_FUZZ'] === 'long' ? 3_600_000 : 300_000;

const isLongStorage = process.env['DESTINO_TEST_STORAGE'] === 'long';
const isContainer = process.env['DESTINO_TEST_CONTAINER'] === 'long';
const isLongFaults = process.env['DESTINO_TEST_FAULTS'] === 'long';

/** What takes minutes and is run by a script of its own: see CONTRIBUTING.md. */
const longFiles = {
  e2e: isLongForm
    ? []
    : ['docs', 'another-environment', 'comparison', 'help-examples'].map(
        (name) => `test/e2e/${name}.test.ts`,
      ),
  faults: isLongFaults ? [] : ['test/faults/sweep.test.ts'],
  storage: isLongStorage
    ? []
    : ['gateway-faults', 'github-workflow', 'kill-client', 'managed-server', 'reach-store'].map(
        (name) => `test/storage/${name}.test.ts`,
      ),
};

// Where several versions are installed, all tests run on the oldest, and what touches the tools most on the newest too;
// `npm run test:matrix` runs everything on each.
const installed = (await serverBinFolders()).map(({major}) => String(major));
const isOneOfMany = process.env['DESTINO_TEST_PG'] === undefined && installed.length > 1;
const newest = isOneOfMany
  ? [
      {
        test: {
          name: 'newest',
          // `npm run test:matrix` runs everything on every installed version.
          include: ['test/postgres/every-type.test.ts', 'test/postgres/restore-database.test.ts'],
          ...server,
          env: {DESTINO_TEST_PG: installed[0]},
        },
      },
    ]
  : [];

// Builds and runs an image; it has no short form.
const container = isContainer
  ? [
      {
        test: {
          name: 'container',
          include: ['test/container/**/*.test.ts'],
          ...server,
          globalSetup: [
            ...server.globalSetup,
            'test/support/object-store.ts',
            'test/support/container-image.ts',
          ],
          hookTimeout: 900_000,
        },
      },
    ]
  : [];

export default defineConfig({
  test: {
    maxWorkers: 3,
    sequence: {sequencer: EvenSequencer},
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'],
          globalSetup: ['test/support/temp-root.ts'],
          testTimeout: 60_000,
          // A hundred short files: loading the program anew for each takes longer than all their tests.
          isolate: false,
        },
      },
      // Properties of the parsers; one of them asks the real psql. DESTINO_TEST_FUZZ=long tries many more.
      {test: {name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], ...server, testTimeout: fuzzTimeout}},
      {test: {name: 'postgres', include: ['test/postgres/**/*.test.ts'], ...server}},
      ...newest,
      // These also have a real S3 server, which takes a quarter of a minute to start.
      {
        test: {
          name: 'storage',
          include: ['test/storage/**/*.test.ts'],
          exclude: longFiles.storage,
          ...server,
          globalSetup: [...server.globalSetup, 'test/support/object-store.ts'],
        },
      },
      ...container,
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          exclude: longFiles.faults,
          ...server,
          globalSetup: [
            'test/support/temp-root.ts',
            'test/support/server-programs.ts',
            'test/support/fault-table.ts',
          ],
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/commands/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          exclude: longFiles.e2e,
          ...server,
        },
      },
    ],
  },
});
