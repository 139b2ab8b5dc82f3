// Rows of a table put back from a custom archive in a bucket, beside a script for psql that loads the table aside.
import {PutObjectAclCommand} from '@aws-sdk/client-s3';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {withSession} from '../app-session.mjs';
import {withDatabase} from '../../dist/lib/postgres/connect/connection.js';
import {measure} from './measure.mjs';
import {startStore} from './off-site.mjs';

const columns = ['customer', 'product', 'quantity', 'price', 'sold_at', 'note', 'details'];
const list = (alias) => columns.map((name) => `${alias}.${name}`).join(', ');

const fill = (count) => `
  CREATE TABLE public.sales (id bigint PRIMARY KEY, customer uuid NOT NULL, product int NOT NULL, quantity int NOT NULL,
    price numeric(10, 2) NOT NULL, sold_at timestamptz NOT NULL, note text, details jsonb);
  INSERT INTO public.sales
  SELECT n, md5('c' || n % 50000)::uuid, n % 500, n % 9 + 1, (n % 10000) / 100.0, timestamptz '2026-01-01' + n * interval '20 seconds',
         CASE WHEN n % 3 = 0 THEN 'note ' || md5(n::text) END, jsonb_build_object('channel', n % 4, 'tags', ARRAY['a', md5(n::text)])
    FROM generate_series(1, ${count}) n;
  VACUUM ANALYZE public.sales`;

/** One in a hundred rows is missing, and another one is changed. */
const damage = `
  DELETE FROM public.sales WHERE id % 100 = 7;
  UPDATE public.sales SET price = 0, note = 'wrong' WHERE id % 100 = 8;
  VACUUM ANALYZE public.sales;
  CHECKPOINT`;

/** As somebody who knows the table would write it. */
const putBackByHand = `
  BEGIN;
  ALTER TABLE public.sales_aside ADD PRIMARY KEY (id);
  ANALYZE public.sales_aside;
  INSERT INTO public.sales SELECT a.* FROM public.sales_aside a WHERE NOT EXISTS (SELECT FROM public.sales s WHERE s.id = a.id);
  UPDATE public.sales s SET (${columns.join(', ')}) = ROW(${list('a')})
    FROM public.sales_aside a WHERE a.id = s.id AND (${list('s')}) IS DISTINCT FROM (${list('a')});
  DROP TABLE public.sales_aside;
  COMMIT;`;

const sum = `SELECT count(*) || ' ' || sum(hashtextextended(s::text, 0)) AS sum FROM public.sales s`;

/** @param count rows of the table; one in a hundred is missing, and one in a hundred is changed */
export async function benchRows(bench, count) {
  const {onServer, alternate, note, ours, work, urlOf, binFolder, connection} = bench;
  const inDatabase = (name, sql) =>
    withSession(withDatabase(connection, name), async (session) => {
      let rows = [];
      for (const statement of sql.split(';\n')) rows = await session.query(statement);
      return rows;
    });
  const [base, damaged, scratch] = ['rows_base', 'rows_damaged', 'rows_scratch'];
  const copyDatabase = async (name, template) => {
    await onServer(`DROP DATABASE IF EXISTS ${name}`);
    await onServer(
      `CREATE DATABASE ${name} TEMPLATE ${template} ${bench.major < 15 ? '' : 'STRATEGY file_copy'}`,
    );
  };
  await onServer(`DROP DATABASE IF EXISTS ${base}`);
  await onServer(`CREATE DATABASE ${base}`);
  await inDatabase(base, fill(count));
  const [{sum: whole}] = await inDatabase(base, sum);
  await copyDatabase(damaged, base);
  await inDatabase(damaged, damage);
  const store = await startStore();
  const options = {env: store.env, daemons: store.pids};
  try {
    const sent = await ours(['backup', '--no-local', '--json', '--to=s3://bench/rows'], base, options);
    const {id, path} = JSON.parse(sent.stdout);
    const script = join(work, 'put-back.sql');
    await writeFile(script, putBackByHand);
    const key = path.slice('s3://bench/'.length);
    await store.client.send(new PutObjectAclCommand({Bucket: 'bench', Key: key, ACL: 'public-read'}));
    const psql = `${join(binFolder, 'psql')} -X -q -v ON_ERROR_STOP=1 -d "$URL"`;
    const byHand = [
      'set -e -o pipefail',
      `curl -sf -o fetched.dump "${store.env.AWS_ENDPOINT_URL_S3}/bench/${key}"`,
      `${psql} -c 'CREATE TABLE public.sales_aside (LIKE public.sales)'`,
      `${join(binFolder, 'pg_restore')} --data-only --table=sales -f - fetched.dump | sed 's/^COPY public.sales /COPY public.sales_aside /' | ${psql} > put-back.log`,
      `${psql} -f ${script}`,
    ].join('\n');
    const env = {URL: urlOf(scratch)};
    const measured = async (run) => {
      await copyDatabase(scratch, damaged);
      const sample = await run();
      const [{sum: found}] = await inDatabase(scratch, sum);
      if (found !== whole) throw new Error('rows came back different');
      return sample;
    };
    const rows = ['restore:rows', id, '--from=s3://bench/rows', '--table=public.sales', '--all'];
    const samples = await alternate({
      'psql: loaded aside, INSERT and UPDATE': () =>
        measured(() =>
          measure('bash', ['-c', byHand], {env, serverPid: bench.serverPid, daemons: store.pids, cwd: work}),
        ),
      'restore:rows --execute': () => measured(() => ours([...rows, '--execute', '--yes'], scratch, options)),
    });
    note(`rows: 2 % of ${count} put back`, samples, 'psql: loaded aside, INSERT and UPDATE');
  } finally {
    await store.stop();
    for (const name of [scratch, damaged, base]) await onServer(`DROP DATABASE IF EXISTS ${name}`);
  }
}
