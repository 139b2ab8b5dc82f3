// A masked copy of a shop beside a database of another environment, compared with the restore of the same backup. Scale 4 is 400 MB of rows.
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {filledDatabase, stepOf} from './shapes.mjs';

const masks = {
  'public.shop_customers.email': {mask: 'email'},
  'public.shop_customers.name': {mask: 'name'},
  'public.shop_customers.phone': {mask: 'phone'},
  'public.shop_orders.email': {mask: 'email'},
  'public.shop_orders.delivery_address': {mask: 'address'},
  'public.shop_orders.notes': {mask: 'text'},
};

const steps = [
  'Look for personal data',
  'Restore into [^:]*',
  'Compare',
  'Look for personal data in all rows',
  'Mask',
  'Build indexes and keys',
  'Check the masks',
  'Analyze',
];

export async function benchRefresh(bench, scale) {
  const {onServer, alternate, note, stock, ours, work, runs, urlOf} = bench;
  const database = await filledDatabase(bench, 'shop', scale);
  if (runs === 0) return;
  const [restored, staging] = ['shop_restored', 'shop_staging'];
  const dropped = async () => {
    const sql = `SELECT datname FROM pg_catalog.pg_database WHERE datname LIKE 'shop\\_restored%' OR datname LIKE 'shop\\_staging%'`;
    for (const {datname} of await onServer(sql)) await onServer(`DROP DATABASE "${datname}"`);
  };
  const config = join(work, 'destino-db.config.json');
  await dropped();
  await rm(join(work, 'backups'), {recursive: true, force: true});
  await ours(['backup'], database);
  await stock('pg_dump', ['-Fc', `--file=${join(work, 'stock.dump')}`], database);
  await writeFile(config, JSON.stringify({masks}));
  const fresh = async (made, run) => {
    await dropped();
    if (made !== undefined) await onServer(`CREATE DATABASE ${made}`);
    await onServer('CHECKPOINT');
    return run();
  };
  const refresh = ['refresh', '--target-url-env=STAGING_URL', '--yes'];
  const samples = await alternate({
    'pg_restore': () =>
      fresh(restored, () => stock('pg_restore', [`--dbname=${restored}`, 'stock.dump'], 'postgres')),
    'restore --create-db': () =>
      fresh(undefined, () => ours(['restore', '--latest', `--target-db=${restored}`, '--create-db', '--yes'], database)),
    'refresh': () => fresh(staging, () => ours(refresh, database, {env: {STAGING_URL: urlOf(staging)}})),
  }); // prettier-ignore
  for (const step of steps) samples.set(`refresh: its step "${step}"`, stepOf(samples.get('refresh'), step));
  note('refresh', samples, 'restore --create-db');
  await dropped();
  await rm(config);
}
