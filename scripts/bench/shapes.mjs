// Dump, verification and restore of one shape of data, beside the stock tools.
import {rm} from 'node:fs/promises';
import {cpus} from 'node:os';
import {join} from 'node:path';
import {withSession} from '../app-session.mjs';
import {withDatabase} from '../../dist/lib/postgres/connect/connection.js';
import {fill} from './data.mjs';
import {megabytesOf, sizeOfBackup} from './files.mjs';

export const shapeParts = ['custom', 'directory', 'sql', 'verify', 'restore'];

/** The database of a shape and scale, filled unless an earlier run kept it. */
export async function filledDatabase({connection, onServer}, shape, scale) {
  const database = `${shape}_${String(scale).replace('.', '_')}`;
  const sql = 'SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1';
  const rows = await withSession(connection, (session) => session.query(sql, [database]));
  if (rows.length > 0) return database;
  await onServer(`CREATE DATABASE ${database}`);
  await fill(withDatabase(connection, database), shape, scale);
  return database;
}

/** Each part is measured against `pg_dump -Fc` or `pg_restore` with their defaults in the same series of runs. */
export async function benchShape(bench, shape, scale, parts) {
  const {work, alternate, note, stock, ours, runs} = bench;
  const database = await filledDatabase(bench, shape, scale);
  if (runs === 0) return;

  const stockDump = async (...args) => {
    const path = join(work, 'stock.dump');
    await rm(path, {recursive: true, force: true});
    return {
      ...(await stock('pg_dump', [...args, `--file=${path}`], database)),
      sizeMb: await megabytesOf(path),
    };
  };
  const ourDump = async (...args) => {
    await rm(join(work, 'backups'), {recursive: true, force: true});
    const sample = await ours(['backup', ...args], database);
    return {...sample, sizeMb: await sizeOfBackup(work)};
  };
  const dumpParts = {
    custom: {'backup': () => ourDump()},
    directory: {
      [`pg_dump -Fd -j${jobs}`]: () => stockDump('-Fd', `-j${jobs}`),
      'backup --format directory': () => ourDump('--format=directory'),
    },
    sql: {
      'pg_dump -Fp -Z6': () => stockDump('-Fp', '-Z6'),
      'backup --format sql': () => ourDump('--format=sql'),
    },
  }; // prettier-ignore
  for (const part of parts.filter((name) => name in dumpParts)) {
    const samples = await alternate({'pg_dump -Fc': () => stockDump('-Fc'), ...dumpParts[part]});
    // The step alone, beside the whole command: what pg_dump itself is compared with.
    for (const name of [...samples.keys()].filter((each) => each.startsWith('backup')))
      samples.set(`${name}: its step "Dump"`, stepOf(samples.get(name), 'Dump'));
    note(`${shape}: dump, ${part}`, samples, 'pg_dump -Fc');
  }
  if (parts.includes('verify')) {
    await ourDump();
    const samples = await alternate({
      'pg_dump -Fc': () => stockDump('-Fc'),
      'verify --level archive': () => ours(['verify', '--latest'], database),
    });
    note(`${shape}: verify`, samples, 'pg_dump -Fc');
  }
  if (parts.includes('restore')) {
    await ourDump();
    await stockDump('-Fc');
    await benchRestore(bench, shape, database);
  }
}

const jobs = Math.min(cpus().length, 4);

async function benchRestore({onServer, alternate, note, stock, ours}, shape, database) {
  const restored = `${shape}_restored`;
  const fresh = async (restore) => {
    await onServer(`DROP DATABASE IF EXISTS ${restored}`);
    return restore();
  };
  const stockRestore = async (...args) => {
    await onServer(`CREATE DATABASE ${restored}`);
    return stock('pg_restore', [...args, `--dbname=${restored}`, 'stock.dump'], 'postgres');
  };
  const ourRestore = (...args) =>
    ours(['restore', '--latest', `--target-db=${restored}`, '--create-db', '--yes', ...args], database);
  const restores = await alternate({
    'pg_restore': () => fresh(() => stockRestore()),
    'restore --create-db': () => fresh(() => ourRestore()),
    'restore --create-db --toast-compression lz4': () => fresh(() => ourRestore('--toast-compression=lz4')),
  }); // prettier-ignore
  for (const name of ['restore --create-db', 'restore --create-db --toast-compression lz4'])
    restores.set(`${name}: its step "Restore"`, stepOf(restores.get(name), 'Restore into [^:]*'));
  note(`${shape}: restore`, restores, 'pg_restore');
  await onServer(`DROP DATABASE IF EXISTS ${restored}`);
}

/** The samples of one step of the program, by its line on stderr; its CPU time is not known apart. */
export function stepOf(samples, title) {
  return samples.map((sample) => {
    const [, took = ''] = new RegExp(`${title}: .* in ([^:]*?)$`, 'm').exec(sample.stderr) ?? [];
    const [, minutes = '0', amount = 'NaN', unit] = /^(?:(\d+) min ?)?(?:([\d.]+) (ms|s))?$/.exec(took) ?? [];
    const seconds = Number(minutes) * 60 + Number(amount) / (unit === 'ms' ? 1000 : 1);
    return {...sample, wall: seconds, cpu: Number.NaN, serverCpu: Number.NaN};
  });
}
