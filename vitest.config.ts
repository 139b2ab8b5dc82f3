import {defineConfig} from 'vitest/config';
import {BaseSequencer, type TestSpecification} from 'vitest/node';
import {serverBinFolders} from './src/lib/postgres/tools/local-cluster.js';

// Unit and contract tests need no server; postgres and e2e tests share one throw-away cluster.
const server = {
  globalSetup: ['test/support/temp-root.ts', 'test/support/global-cluster.ts'],
  testTimeout: 120_000,
  hookTimeout: 120_000,
  pool: 'forks' as const,
};

const fuzzTimeout = process.env['DESTINO_TEST_FUZZ'] === 'long' ? 3_600_000 : 120_000;

const isLongStorage = process.env['DESTINO_TEST_STORAGE'] === 'long';

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

/** vitest begins with the largest files; this one is small and takes a minute, which at the end it would take alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({moduleId}: TestSpecification): boolean => moduleId.endsWith('kill-client.test.ts');
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    maxWorkers: 3,
    sequence: {sequencer: LongestFirst},
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'],
          globalSetup: ['test/support/temp-root.ts'],
          testTimeout: 30_000,
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
          // Gateways that are stopped and started take a minute, so this file is of the long form.
          exclude: isLongStorage ? [] : ['test/storage/gateway-faults.test.ts'],
          ...server,
          globalSetup: [...server.globalSetup, 'test/support/object-store.ts'],
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          ...server,
          globalSetup: [...server.globalSetup, 'test/support/fault-table.ts'],
        },
      },
      {test: {name: 'e2e', include: ['test/commands/**/*.test.ts', 'test/e2e/**/*.test.ts'], ...server}},
    ],
  },
});
