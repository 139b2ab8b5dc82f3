/** refresh masks with as many sessions as --parallel-jobs says. */
import {rm} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, existingDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'jobs_staging';

it('masks all tables in one session with one job', async () => {
  const folder = await tempFolder();
  const production = await createTempDatabase('template0');
  try {
    const tables = Array.from({length: 6}, (_, index) => `part_${index}`);
    for (const table of tables)
      await production.run(
        `CREATE TABLE ${table} (id int PRIMARY KEY, who text); INSERT INTO ${table} SELECT n, 'x' FROM generate_series(1, 5) n`,
      );
    // The session that masks a row writes its number into it; the long text takes so much time that other sessions would take some tables.
    const masks = Object.fromEntries(
      tables.map((table) => [
        `public.${table}.who`,
        {
          mask: 'sql' as const,
          sql: `pg_catalog.pg_backend_pid()::text || left(repeat('x', 20000000 + id), 0)`,
        },
      ]),
    );
    const context = testContext(folder, {
      env: {STAGING_URL: existingDatabase(target).url},
      settings: {databaseUrl: production.url, config: {masks}, cores: 4},
    });
    await backupDatabase(context, {format: 'custom'});
    await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 1, parallelJobs: 1});
    const all = tables.map((table) => `SELECT who FROM ${table}`).join(' UNION ALL ');
    const [row] = await existingDatabase(target).query(
      `SELECT count(DISTINCT who) AS sessions, count(*) AS rows FROM (${all}) w`,
    );
    expect(row).toEqual({sessions: '1', rows: '30'});
  } finally {
    await production.drop();
    await dropDatabase(target);
    await rm(folder, {recursive: true, force: true});
  }
});
