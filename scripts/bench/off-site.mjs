// To a bucket and back without a copy on disk, encrypted, beside the stock tools and a file; and a list of 1000 backups there.
import {CreateBucketCommand, PutObjectCommand, S3Client} from '@aws-sdk/client-s3';
import {execFileSync, spawn} from 'node:child_process';
import {readdirSync, readFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {megabytesOf} from './files.mjs';
import {measure} from './measure.mjs';
import {filledDatabase} from './shapes.mjs';

const script = fileURLToPath(new URL('../ceph-rgw.sh', import.meta.url));

export const offSiteParts = ['dump', 'restore', 'list'];

/** Dumps and restores are measured against the stock tools and a file, at the same level of gzip. */
export async function benchOffSite(bench, scale, parts) {
  const database = await filledDatabase(bench, 'dominating', scale);
  if (bench.runs === 0) return;
  const key = join(bench.work, 'key.txt');
  execFileSync('age-keygen', ['-o', key], {stdio: 'ignore'});
  const recipient = execFileSync('age-keygen', ['-y', key], {encoding: 'utf8'}).trim();
  const store = await startStore();
  const daemons = store.pids;
  const file = join(bench.work, 'off-site.dump');
  const offSite = {
    ...bench, database, store, daemons, key, file,
    dump: async () => ({
      ...(await bench.stock('pg_dump', ['-Fc', '-Z6', `--file=${file}`], database, {daemons})),
      sizeMb: await megabytesOf(file),
    }),
    run: (...args) => bench.ours(args, database, {env: store.env, daemons}),
    sendSealed: async (...args) => {
      const to = ['--to=s3://bench/sealed', `--encrypt-to=${recipient}`];
      const sample = await offSite.run('backup', '--no-local', '--json', ...to, ...args);
      return {...sample, sizeMb: JSON.parse(sample.stdout).size / 1e6};
    },
  }; // prettier-ignore
  try {
    if (parts.includes('dump')) await benchDump(offSite);
    if (parts.includes('restore')) await benchRestore(offSite);
    if (parts.includes('list')) await benchList(offSite);
  } finally {
    await store.stop();
  }
}

async function benchDump({alternate, note, dump, sendSealed}) {
  const dumps = await alternate({
    'pg_dump -Fc -Z6 to a file': dump,
    'backup --no-local, encrypted': () => sendSealed(),
    'backup --no-local --compress-level 6 --no-verify, encrypted': () =>
      sendSealed('--compress-level=6', '--no-verify'),
  });
  note('off-site: dump', dumps, 'pg_dump -Fc -Z6 to a file');
}

async function benchRestore({onServer, alternate, note, stock, run, dump, sendSealed, key, file, daemons}) {
  await dump();
  await sendSealed();
  const target = 'off_site_back';
  const fresh = async (restore) => {
    await onServer(`DROP DATABASE IF EXISTS ${target}`);
    return restore();
  };
  const fetch = (...args) =>
    fresh(() =>
      run('restore', '--latest', '--from=s3://bench/sealed', `--identity=${key}`, `--target-db=${target}`, '--create-db', '--yes', ...args),
    ); // prettier-ignore
  const restores = await alternate({
    'pg_restore from a file': () =>
      fresh(async () => {
        await onServer(`CREATE DATABASE ${target}`);
        return stock('pg_restore', [`--dbname=${target}`, file], 'postgres', {daemons});
      }),
    'restore --from, encrypted': () => fetch(),
    'restore --from, encrypted, --parallel-jobs 2': () => fetch('--parallel-jobs=2'),
  });
  note('off-site: restore', restores, 'pg_restore from a file');
  await onServer(`DROP DATABASE IF EXISTS ${target}`);
}

async function benchList({onServer, alternate, note, ours, store, daemons, work}) {
  await onServer('DROP DATABASE IF EXISTS tiny_off_site');
  await onServer('CREATE DATABASE tiny_off_site');
  const tiny = JSON.parse((await ours(['backup', '--json', '--no-verify'], 'tiny_off_site')).stdout);
  await onServer('DROP DATABASE tiny_off_site');
  await fillWithBackups(store.client, 'many', await readFile(tiny.metadataPath, 'utf8'), 1000);
  let lists = 0;
  const list = (cache) => {
    const env = {...store.env, XDG_CACHE_HOME: join(work, cache)};
    return ours(['list', '--from=s3://bench/many'], 'postgres', {env, daemons});
  };
  await list('again');
  const samples = await alternate({
    'node -e 0': () => measure(process.execPath, ['-e', '0'], {daemons}),
    'list --from (1000 backups), for the first time': () => list(`first-${lists++}`),
    'list --from (1000 backups), again': () => list('again'),
  });
  note('off-site: list', samples, 'node -e 0');
}

/** Its storage daemon keeps everything in memory: the program is measured, not a disk. */
export async function startStore() {
  const shell = spawn('bash', [script], {stdio: ['pipe', 'pipe', 'inherit']});
  const {endpoint, accessKeyId, secretAccessKey} = await new Promise((resolve, reject) => {
    const told = [];
    createInterface({input: shell.stdout}).on('line', (line) => {
      told.push(line);
      if (line === 'ready') resolve(JSON.parse(told[0]));
    });
    shell.once('close', (code) => reject(new Error(`scripts/ceph-rgw.sh ended with ${code}`)));
  });
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {accessKeyId, secretAccessKey},
  });
  await client.send(new CreateBucketCommand({Bucket: 'bench'}));
  return {
    client,
    env: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
    pids: childrenOf(shell.pid),
    async stop() {
      const gone = new Promise((resolve) => shell.once('close', resolve));
      shell.stdin.end();
      await gone;
    },
  };
}

function childrenOf(parent) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false; // it has ended
      }
    });
}

/** As many backups as `count`, all with the metadata of the one given. */
async function fillWithBackups(client, prefix, metadata, count) {
  const {id} = JSON.parse(metadata);
  const numbers = Array.from({length: count}, (_, index) => index);
  const put = async () => {
    for (let n = numbers.pop(); n !== undefined; n = numbers.pop()) {
      const time = new Date(Date.UTC(2026, 0, 1) + n * 3_600_000).toISOString();
      const other = `tiny-${time.slice(0, 19).replaceAll(':', '-')}`;
      const Body = metadata.replaceAll(id, other).replace(/"timestamp": ?"[^"]*"/, `"timestamp": "${time}"`);
      await client.send(
        new PutObjectCommand({Bucket: 'bench', Key: `${prefix}/${other}.metadata.json`, Body}),
      );
    }
  };
  await Promise.all(Array.from({length: 16}, put));
}
