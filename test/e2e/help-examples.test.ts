/** Every example in the help works as described, in a shop with some backups. Those with a bucket are in test/storage. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {loadTemplate} from '../support/global-cluster.js';
import {openShell, readExamples} from '../support/help-examples.js';
import {requirePrograms} from '../support/require-programs.js';
import {type CliResult, tempFolder} from '../support/run-cli.js';
import {shopMasks} from '../support/shop-masks.js';
import {urlOf} from '../support/temp-database.js';

const examples = (await readExamples()).filter(({line}) => !line.includes('s3://'));

// A separate server, because the examples name databases.
let cluster: LocalCluster;
let folder: string;
let shell: (line: string, shell?: string) => Promise<CliResult>;

beforeAll(async () => {
  requirePrograms('jq', 'zsh', 'fish');
  folder = await tempFolder();
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  await loadTemplate(cluster.connection);
  await withAppSession(cluster.connection, (session) =>
    session.query('CREATE DATABASE shop TEMPLATE shop_template'),
  );
  shell = await openShell(folder, {
    DIRECT_URL: urlOf(withDatabase(cluster.connection, 'shop')),
    STAGING_URL: urlOf(withDatabase(cluster.connection, 'shop_staging')),
  });
  const init = 'destino-db init --yes --plan "daily custom at 02:00; weekly sql"';
  expect(await shell(init), init).toMatchObject({status: 0});
  const config = JSON.parse(await readFile(configPath(), 'utf8')) as object;
  const targets = [{type: 'command', argv: ['/bin/true'], on: ['stale']}];
  await writeFile(configPath(), JSON.stringify({...config, notifications: {targets}, masks: shopMasks}));
  for (const line of [
    'destino-db backup --label before-release',
    'destino-db backup',
    'destino-db verify --level restore',
    'mkdir www',
  ])
    expect(await shell(line), line).toMatchObject({status: 0});
});
const configPath = () => join(folder, 'destino-db.config.json');

afterAll(async () => {
  await cluster.stop();
  await rm(folder, {recursive: true, force: true});
});

/** Placeholders for values that only the reader knows. */
async function fill(line: string): Promise<string> {
  if (line.includes('1509044230e1693d')) {
    const preview = await shell('destino-db orders:clean --json');
    return line.replace('1509044230e1693d', (preview.json() as {plan: string}).plan);
  }
  if (line.includes('restore:rows')) {
    const shop = withDatabase(cluster.connection, 'shop');
    const [order] = await withAppSession(shop, async (session) => {
      if (line.includes('--columns')) await session.query('UPDATE products SET price = price + 1');
      return session.query('SELECT min(id::text) AS id FROM orders');
    });
    return line.replace(/\bID\b/, order?.['id'] ?? 'none');
  }
  if (line.includes('--only-order ID')) {
    const {stdout} = await shell('cat "$(ls -t backups/order-cleanup/*.json | head -n 1)"');
    return line.replace(
      'ID',
      /"table":"public\.orders","row":\{"id": ?"?([^",]+)/.exec(stdout)?.[1] ?? 'none',
    );
  }
  return line;
}

/** Other examples read the folder as one for a single database. */
async function withDatabases<T>(work: () => Promise<T>): Promise<T> {
  const before = await readFile(configPath(), 'utf8');
  const databases = [{name: 'shop', urlEnv: 'DIRECT_URL'}];
  await writeFile(configPath(), JSON.stringify({...(JSON.parse(before) as object), databases}));
  try {
    return await work();
  } finally {
    await writeFile(configPath(), before);
  }
}

it.each(examples)('$line', async ({line, canBeAnswered}) => {
  const filled = await fill(line);
  // There is no terminal for a question.
  const answered = canBeAnswered && !/ --(?:yes|dry-run|guide)\b/.test(filled) && !filled.includes('|');
  const run = (): Promise<CliResult> =>
    shell(answered ? `${filled} --yes` : filled, /completion (zsh|fish)/.exec(line)?.[1]);
  const {status, stdout, stderr} = await (line.includes('--all-databases') ? withDatabases(run) : run());
  expect([status, stderr.match(/^Error.*/m)]).toEqual([0, null]);
  const isSilent =
    line.includes('--quiet') ||
    line.includes('--failed') ||
    line.includes('select(') ||
    line.includes('findings') ||
    line.includes('source');
  if (!isSilent) expect(stdout.trim()).not.toBe('');
});
