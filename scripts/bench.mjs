// Measures this program beside the stock tools on the same throw-away server, run after run in turn.
// usage: npm run bench -- [--scale N] [--runs N] [--only NAME,NAME] [--pg MAJOR] [--keep FOLDER]
// Names: dominating, narrow, skewed, blobs (or one part of each: dominating-custom, -directory, -sql, -verify, -restore),
// orders (or orders-preview, orders-clean, orders-restore), start, growth; and growth-long, off-site (or
// off-site-dump, -restore, -list), rows (both start a Ceph gateway) and refresh, which are never run unless named.
// Scale 1 is 100 MB of rows, 10 000 orders, and a million rows of which some are put back. With --keep the server and its data stay in FOLDER for the next run, and
// with --runs 0 they are made and nothing is measured.
// Results: bench-results/<time>.md and .json. Ratios and CPU time carry over to other machines, wall times do not.
import {execFileSync} from 'node:child_process';
import {cpus} from 'node:os';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {withSession} from './app-session.mjs';
import {serverBinFolders, startLocalCluster} from '../dist/lib/postgres/tools/local-cluster.js';
import {benchGrowth} from './bench/growth.mjs';
import {measure, median, noisyCores, summarize} from './bench/measure.mjs';
import {benchOffSite, offSiteParts} from './bench/off-site.mjs';
import {benchOrders} from './bench/orders.mjs';
import {benchRefresh} from './bench/refresh.mjs';
import {benchRows} from './bench/rows.mjs';
import {benchShape, shapeParts} from './bench/shapes.mjs';
import {benchStart} from './bench/start.mjs';

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
if (!server) throw new Error('no such PostgreSQL server; scripts/install-programs.sh postgres installs one');
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

const stock = (name, args, database, {daemons} = {}) =>
  measure(bin(name), args, {env: {...stockEnv, PGDATABASE: database}, serverPid, daemons, cwd: work});
const ours = (args, database, {env, daemons} = {}) =>
  measure(process.execPath, [program, ...args, `--pg-bin=${server.folder}`], {
    env: {DIRECT_URL: urlOf(database), ...env}, serverPid, daemons, cwd: work,
  }); // prettier-ignore

/** The parts of a benchmark that were asked for by their own names or by that of the whole. */
const partsOf = (name, parts) => parts.filter((part) => only.has(name) || only.has(`${name}-${part}`));

const bench = {
  connection: cluster.connection, onServer, stock, ours, urlOf, note, alternate, work, keep, runs, program,
  binFolder: server.folder, major: server.major, serverPid,
}; // prettier-ignore
try {
  for (const shape of ['dominating', 'narrow', 'skewed', 'blobs']) {
    const parts = partsOf(shape, shapeParts);
    if (parts.length > 0) await benchShape(bench, shape, scale, parts);
  }
  const parts = partsOf('orders', ['preview', 'clean', 'restore']);
  if (parts.length > 0) await benchOrders(bench, Math.round(10_000 * scale), parts);
  if (only.has('start')) await benchStart(bench);
  if (only.has('growth')) await benchGrowth(bench, scale, [1, 10]);
  const waysOff = partsOf('off-site', offSiteParts);
  if (waysOff.length > 0) await benchOffSite(bench, scale, waysOff);
  if (only.has('rows')) await benchRows(bench, Math.round(1_000_000 * scale));
  if (only.has('refresh')) await benchRefresh(bench, scale);
  if (only.has('growth-long')) await benchGrowth(bench, scale, [1, 10, 50]);
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
