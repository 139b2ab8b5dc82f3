import {execFileSync, spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {copyFile, mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {writeSimulatedMonth} from '../support/simulated-month.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

const alerts = fileURLToPath(new URL('../../docs/alerts/', import.meta.url));

let shop: TempDatabase;
let folder: string;
let textfiles: string;
let file: string;

beforeAll(async () => {
  requirePrograms('promtool', 'prometheus-node-exporter');
  shop = await createTempDatabase('shop_template', `sh"op_${process.pid}`);
  folder = await tempFolder();
  textfiles = join(folder, 'textfiles');
  file = join(textfiles, 'destino-db.prom');
  await mkdir(textfiles);
  await writeSimulatedMonth(join(folder, 'backups'));
}, 300_000);
afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runCli(args, {cwd: folder, env: {DIRECT_URL: shop.url, ...env}});

/** Output of a real node_exporter about the textfiles in a folder. */
async function scrape(directory: string): Promise<string> {
  const exporter = spawn(
    'prometheus-node-exporter',
    [
      '--web.listen-address=127.0.0.1:0',
      '--collector.disable-defaults',
      '--collector.textfile',
      `--collector.textfile.directory=${directory}`,
    ],
    {stdio: ['ignore', 'ignore', 'pipe']},
  );
  try {
    const address = await new Promise<string>((resolve, reject) => {
      exporter.once('error', reject);
      exporter.once('exit', () => reject(new Error('node_exporter ended')));
      createInterface({input: exporter.stderr}).on('line', (line) => {
        const found = /"?Listening on"? address=(\S+)/.exec(line)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
    return await (await fetch(`http://${address}/metrics`)).text();
  } finally {
    exporter.kill();
  }
}

describe('the metrics file', () => {
  it('is written after a backup, passes promtool, and a real node_exporter serves it', async () => {
    const made = await run(['backup', '--metrics-file', 'textfiles/destino-db.prom']);
    expect(made).toMatchObject({status: 0});
    const text = await readFile(file, 'utf8');
    expect(execFileSync('promtool', ['check', 'metrics'], {input: text, encoding: 'utf8'})).toBe('');
    expect(await readdir(textfiles)).toEqual(['destino-db.prom']);
    expect((await stat(file)).mode & 0o777).toBe(0o644);

    const served = await scrape(textfiles);
    expect(served).toContain('node_textfile_scrape_error 0\n');
    const own = text.split('\n').filter((line) => line.startsWith('destino_db_'));
    expect(own.length).toBeGreaterThan(20);
    const normal = (line: string): string =>
      `${line.slice(0, line.lastIndexOf(' '))} ${Number(line.slice(line.lastIndexOf(' ') + 1))}`;
    // Labels are returned in the order of their names.
    const sorted = (line: string): string => [...normal(line)].sort().join('');
    const lines = new Set(
      served
        .split('\n')
        .filter((line) => line.startsWith('destino_db_'))
        .map(sorted),
    );
    expect(own.map(sorted).filter((line) => !lines.has(line))).toEqual([]);
    expect(text).toContain(
      `destino_db_last_success_timestamp_seconds{command="backup",database="sh\\"op_${process.pid}"`,
    );
    expect(text).toContain(
      'destino_db_backups{database="shop",server="db.example:5432",state="damaged"} 1\n',
    );
  });

  it('is written after a failed run too, from the environment or the config', async () => {
    await rm(file);
    const failed = await run(['backup', '--include-table', 'no_such_table'], {
      DIRECT_URL: shop.url,
      DESTINO_DB_METRICS_FILE: file,
    });
    expect(failed.status).toBe(2);
    expect(await readFile(file, 'utf8')).toMatch(
      new RegExp(
        `destino_db_last_failure_timestamp_seconds\\{command="backup",database="sh\\\\"op_${process.pid}",server="[^"]+"\\}`,
      ),
    );
    await rm(file);
    await writeFile(join(folder, 'metrics.json'), JSON.stringify({metricsFile: 'textfiles/destino-db.prom'}));
    expect((await run(['prune', '--keep-days', '9999', '--config', 'metrics.json'])).status).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('last_success_timestamp_seconds{command="prune",');
  });

  it('causes a warning if it cannot be written, and no failure', async () => {
    const made = await run(['backup', '--metrics-file', 'nowhere/x.prom', '--json']);
    expect(made.status).toBe(0);
    expect(made.stderr).toContain('Warning: The metrics file ');
    expect(made.json()).toMatchObject({schemaVersion: 1});
  });
});

describe('the alert rules', () => {
  it('are valid and fire exactly when they should, according to promtool', async () => {
    execFileSync('promtool', ['check', 'rules', join(alerts, 'destino-db.rules.yml')]);
    execFileSync('promtool', ['test', 'rules', join(alerts, 'destino-db.rules.test.yml')]);
    // The test can fail: with another limit it does.
    const copy = join(folder, 'rules');
    await mkdir(copy);
    await copyFile(join(alerts, 'destino-db.rules.test.yml'), join(copy, 'destino-db.rules.test.yml'));
    const rules = await readFile(join(alerts, 'destino-db.rules.yml'), 'utf8');
    await writeFile(join(copy, 'destino-db.rules.yml'), rules.replace('26 * 3600', '28 * 3600'));
    expect(() =>
      execFileSync('promtool', ['test', 'rules', join(copy, 'destino-db.rules.test.yml')], {stdio: 'pipe'}),
    ).toThrow();
  });

  it('name only existing metrics', async () => {
    const rules = await readFile(join(alerts, 'destino-db.rules.yml'), 'utf8');
    const source = await readFile(
      new URL('../../src/lib/services/status/metrics.ts', import.meta.url),
      'utf8',
    );
    for (const [, name] of rules.matchAll(/destino_db_(\w+)/g)) expect(source).toContain(`'${name ?? ''}'`);
  });
});
