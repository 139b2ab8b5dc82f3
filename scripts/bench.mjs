// Measures this program beside the stock tools on the same throw-away server, run after run in turn.
// usage: npm run bench -- [--scale N] [--runs N] [--only NAME,NAME] [--pg MAJOR] [--keep FOLDER]
// Names: dominating, narrow, skewed, blobs, orders (or orders-preview, orders-clean, orders-restore), start, growth.
// Scale 1 is 100 MB of rows and 10 000 orders. With --keep the server and its orders stay in FOLDER for the next run, and
// with --runs 0 they are made and nothing is measured.
// Results: bench-results/<time>.md and .json. Ratios and CPU time carry over to other machines, wall times do not.
import {execFileSync} from 'node:child_process';
import {cpus} from 'node:os';
import {cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {withSession} from '../dist/lib/postgres/client.js';
import {withDatabase} from '../dist/lib/postgres/connection.js';
import {serverBinFolders, startLocalCluster} from '../dist/lib/postgres/local-cluster.js';
import {fill} from './bench/data.mjs';
import {measure, median, noisyCores, summarize} from './bench/measure.mjs';
import {benchOrders} from './bench/orders.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const program = join(root, 'bin/run.js');
const {values} = parseArgs({
  options: {
    scale: {type: 'string', default: '1'},
    runs: {type: 'string', default: '5'},
    only: {type: 'string', default: 'dominating,narrow,skewed,blobs,orders,start,growth'},
    pg: {type: 'string'},
    keep: {type: 'string'},
  },
});
const scale = Number(values.scale);
const runs = Number(values.runs);
const only = new Set(values.only.split(','));
const keep = values.keep === undefined ? undefined : resolve(values.keep);

const servers = await serverBinFolders();
const server =
  values.pg === undefined ? servers.at(-1) : servers.find(({major}) => String(major) === values.pg);
if (!server) throw new Error('no such PostgreSQL server; scripts/install-postgres.sh installs one');
const bin = (name) => join(server.folder, name);
const work = await mkdtemp(join(tmpdir(), 'destino-db-bench-'));
const cluster = await startLocalCluster({
  binFolder: server.folder,
  ...(keep === undefined ? {} : {keepIn: keep}),
  settings: ['shared_buffers = 1GB', 'max_wal_size = 8GB', 'autovacuum = off', 'jit = off'],
});
const {host, port, user, password} = cluster.connection;
const stockEnv = {
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGSSLMODE: 'disable',
};
const urlOf = (database) => `postgresql://${user}:${password}@${host}:${port}/${database}?sslmode=disable`;
const onServer = (sql) => withSession(cluster.connection, (session) => session.query(sql));
const serverPid = cluster.pid;
const results = [];

const stock = (name, args, database) =>
  measure(bin(name), args, {env: {...stockEnv, PGDATABASE: database}, serverPid, cwd: work});
const ours = (args, database) =>
  measure(process.execPath, [program, ...args, `--pg-bin=${server.folder}`], {
    env: {DIRECT_URL: urlOf(database)}, serverPid, cwd: work,
  }); // prettier-ignore

try {
  for (const shape of ['dominating', 'narrow', 'skewed', 'blobs'])
    if (only.has(shape)) await benchShape(shape);
  const parts = ['preview', 'clean', 'restore'].filter(
    (part) => only.has('orders') || only.has(`orders-${part}`),
  );
  if (parts.length > 0) {
    const bench = {
      connection: cluster.connection,
      onServer,
      stock,
      ours,
      note,
      alternate,
      work,
      keep,
      runs,
      major: server.major,
    };
    await benchOrders(bench, Math.round(10_000 * scale), parts);
  }
  if (only.has('start')) await benchStart();
  if (only.has('growth')) await benchGrowth();
} finally {
  await cluster.stop();
  await rm(work, {recursive: true, force: true});
}
if (results.length > 0) await report();

/** Runs each of the variants once, then each again, the order turned round every time. */
async function alternate(variants, times = runs) {
  const samples = new Map(Object.keys(variants).map((name) => [name, []]));
  for (let run = 0; run < times; run++) {
    const names = Object.keys(variants);
    for (const name of run % 2 === 0 ? names : names.reverse())
      samples.get(name).push(await variants[name]());
  }
  return samples;
}

function note(group, samples, reference) {
  const base = summarize(samples.get(reference));
  for (const [name, list] of samples) {
    const summary = summarize(list);
    const row = {
      group, name, ...summary, wallRatio: summary.wall / base.wall, cpuRatio: summary.cpu / base.cpu,
      sizeRatio: base.sizeMb > 0 ? summary.sizeMb / base.sizeMb : 0, isNoisy: summary.quietRuns === 0 || base.quietRuns === 0,
    }; // prettier-ignore
    results.push(row);
    process.stderr.write(
      `${group}: ${name}: wall ${row.wallRatio.toFixed(2)}, CPU ${row.cpuRatio.toFixed(2)}${row.isNoisy ? ' (noisy)' : ''}\n`,
    );
  }
}

async function benchShape(shape) {
  await onServer(`CREATE DATABASE ${shape}`);
  await fill(withDatabase(cluster.connection, shape), shape, scale);
  const stockDump = async (...args) => {
    const path = join(work, 'stock.dump');
    await rm(path, {recursive: true, force: true});
    return {...(await stock('pg_dump', [...args, `--file=${path}`], shape)), sizeMb: await megabytesOf(path)};
  };
  const ourDump = async (...args) => {
    await rm(join(work, 'backups'), {recursive: true, force: true});
    const sample = await ours(['backup', ...args], shape);
    return {...sample, sizeMb: await sizeOfBackup()};
  };
  const dumps = await alternate({
    'pg_dump -Fc': () => stockDump('-Fc'),
    'backup': () => ourDump(),
    'backup --no-verify': () => ourDump('--no-verify'),
    'pg_dump -Fd -j': () => stockDump('-Fd', `-j${Math.min(cpus().length, 4)}`),
    'backup --format directory': () => ourDump('--format=directory'),
    'backup --format directory --no-verify': () => ourDump('--format=directory', '--no-verify'),
    'pg_dump -Fp -Z6': () => stockDump('-Fp', '-Z6'),
    'backup --format sql --no-verify': () => ourDump('--format=sql', '--no-verify'),
  }); // prettier-ignore
  // The step alone, beside the whole command: what pg_dump itself is compared with.
  for (const name of ['backup', 'backup --format directory'])
    dumps.set(`${name}: its step "Dump"`, stepOf(dumps.get(name), 'Dump'));
  note(`${shape}: dump`, dumps, 'pg_dump -Fc');

  await ourDump();
  await stockDump('-Fc');
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
    ours(['restore', '--latest', `--target-db=${restored}`, '--create-db', '--yes', ...args], shape);
  const restores = await alternate({
    'pg_restore': () => fresh(() => stockRestore()),
    'restore --create-db': () => fresh(() => ourRestore()),
    'restore --create-db --toast-compression lz4': () => fresh(() => ourRestore('--toast-compression=lz4')),
  }); // prettier-ignore
  for (const name of ['restore --create-db', 'restore --create-db --toast-compression lz4'])
    restores.set(`${name}: its step "Restore"`, stepOf(restores.get(name), 'Restore into [^:]*'));
  note(`${shape}: restore`, restores, 'pg_restore');
  await onServer(`DROP DATABASE IF EXISTS ${restored}`);

  const verifies = await alternate({
    'pg_dump -Fc': () => stockDump('-Fc'),
    'verify --level archive': () => ours(['verify', '--latest'], shape),
  });
  note(`${shape}: verify`, verifies, 'pg_dump -Fc');
}

/** The samples of one step of the program, by what it tells on stderr; its CPU time is not known apart. */
function stepOf(samples, title) {
  return samples.map((sample) => {
    const [, took = ''] = new RegExp(`${title}: done in (.*?)(?: \\(|$)`, 'm').exec(sample.stderr) ?? [];
    const [, minutes = '0', amount = 'NaN', unit] = /^(?:(\d+) min ?)?(?:([\d.]+) (ms|s))?$/.exec(took) ?? [];
    const seconds = Number(minutes) * 60 + Number(amount) / (unit === 'ms' ? 1000 : 1);
    return {...sample, wall: seconds, cpu: Number.NaN, serverCpu: Number.NaN};
  });
}

/** Start-up, with a folder of 100 backups for `list`; NODE_EXTRA_CA_CERTS would slow every start of Node alike and flatter the ratios. */
async function benchStart() {
  const folder = join(work, 'hundred');
  await onServer('CREATE DATABASE tiny');
  await mkdir(folder, {recursive: true});
  const env = {DIRECT_URL: urlOf('tiny'), NODE_EXTRA_CA_CERTS: ''};
  const made = JSON.parse(
    (
      await measure(process.execPath, [program, 'backup', '--json', `--pg-bin=${server.folder}`], {
        cwd: folder,
        env,
      })
    ).stdout,
  );
  const text = await readFile(made.metadataPath, 'utf8');
  for (let n = 0; n < 99; n++) {
    const id = `tiny-2026-01-01T00-${String(Math.floor(n / 60)).padStart(2, '0')}-${String(n % 60).padStart(2, '0')}`;
    await writeFile(join(dirname(made.metadataPath), `${id}.metadata.json`), text.replaceAll(made.id, id));
    await cp(made.path, join(dirname(made.path), `${id}.dump`));
  }
  const start = (...args) => measure(process.execPath, args, {cwd: folder, env});
  const samples = await alternate({
    'node -e 0': () => start('-e', '0'),
    '--version': () => start(program, '--version'),
    '--help': () => start(program, '--help'),
    'list (100 backups)': () => start(program, 'list'),
  }, Math.max(runs, 10)); // prettier-ignore
  note('start-up', samples, 'node -e 0');
}

/** The same shape at 1x, 10x and, where the scale allows for it, 50x: time must grow no faster, memory not at all. */
async function benchGrowth() {
  const samples = new Map();
  for (const times of values.only === 'growth' ? [1, 10, 50] : [1, 10]) {
    const database = `growth_${times}`;
    await onServer(`CREATE DATABASE ${database}`);
    await fill(withDatabase(cluster.connection, database), 'dominating', (scale / 5) * times);
    await rm(join(work, 'backups'), {recursive: true, force: true});
    samples.set(`backup at ${times}x`, [await ours(['backup'], database)]);
    samples.set(`verify at ${times}x`, [await ours(['verify', '--latest'], database)]);
    samples.set(`restore at ${times}x`, [
      await ours(['restore', '--latest', `--target-db=${database}_r`, '--create-db', '--yes'], database),
    ]);
    await onServer(`DROP DATABASE ${database}_r`);
    await onServer(`DROP DATABASE ${database}`);
  }
  note('growth (ratios to the backup at 1x)', samples, 'backup at 1x');
}

/** Of the one backup there is, without its metadata; progress is told where --json is not given, so the size is looked up. */
async function sizeOfBackup() {
  const folder = join(work, 'backups', 'database');
  const [name] = (await readdir(folder)).filter((file) => !file.endsWith('.json'));
  return megabytesOf(join(folder, name));
}

async function megabytesOf(path) {
  const status = await stat(path);
  if (!status.isDirectory()) return status.size / 1e6;
  const sizes = await Promise.all(
    (await readdir(path)).map(async (name) => (await stat(join(path, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
}

async function report() {
  const machine = {
    cores: cpus().length, cpu: cpus()[0]?.model, node: process.version,
    postgres: execFileSync(bin('postgres'), ['--version'], {encoding: 'utf8'}).trim(),
    at: new Date().toISOString(), scale, runs,
    medianOtherCores: median(results.map((row) => row.otherCores)),
  }; // prettier-ignore
  const number = (value, digits = 2) => (Number.isFinite(value) && value !== 0 ? value.toFixed(digits) : '');
  const lines = [
    `# Benchmark of ${machine.at.slice(0, 16)}Z`, '',
    `${machine.cores} cores (${machine.cpu}), ${machine.postgres}, Node ${machine.node}, scale ${scale}, ${runs} runs.`,
    `Others took ${machine.medianOtherCores.toFixed(2)} cores (median). Wall times with * come from runs in which others took more than ${noisyCores} cores.`, '',
    '| what | variant | wall s | wall ratio | CPU s client + server | CPU ratio | peak MB | size MB | size ratio |',
    '|---|---|---|---|---|---|---|---|---|',
    ...results.map((row) =>
      `| ${row.group} | ${row.name} | ${number(row.wall)}${row.isNoisy ? '*' : ''} | ${number(row.wallRatio)} | ${number(row.clientCpu)} + ${number(row.serverCpu)} | ${number(row.cpuRatio)} | ${number(row.rssMb, 0)} | ${number(row.sizeMb, 1)} | ${number(row.sizeRatio)} |`,
    ), '',
  ]; // prettier-ignore
  const folder = join(process.cwd(), 'bench-results');
  await mkdir(folder, {recursive: true});
  const name = join(folder, machine.at.slice(0, 19).replaceAll(':', '-'));
  await writeFile(`${name}.md`, lines.join('\n'));
  await writeFile(`${name}.json`, `${JSON.stringify({machine, results}, null, 2)}\n`);
  process.stdout.write(`${lines.join('\n')}\n${name}.md\n`);
}
