#!/usr/bin/env node
/**
 * Stands in for greenmask 0.2.22, which tests cannot install. It has its command line, its config keys (in JSON, with the variables that
 * replace them), its default log on stderr and its output: a folder named by the time with a dump in directory format, metadata.json and
 * heartbeat. Of its transformers it has Hash (SHA-1 in base64) and Replace. `standIn` in the config is not greenmask's: it makes it fail or wait.
 */
import {execFileSync, spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readFileSync, readdirSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {gunzipSync, gzipSync} from 'node:zlib';

if (process.argv[2] === '--version') {
  console.log('greenmask version 0.2.22 stand-in');
  process.exit(0);
}
const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {config: {type: 'string'}, table: {type: 'string', multiple: true, default: []}},
});
const fail = (message) => {
  console.error(`2026-07-01T08:00:00Z FTL cannot make a backup error="${message}"`);
  process.exit(1);
};
if (positionals[0] !== 'dump') fail(`unknown command "${positionals[0]}"`);
const config = JSON.parse(readFileSync(values.config, 'utf8'));
// A variable replaces only a key that the file has.
const storage = config.storage?.directory?.path === undefined ? '/tmp' : (process.env.STORAGE_DIRECTORY_PATH ?? config.storage.directory.path); // prettier-ignore
if (!statSync(storage).isDirectory()) fail('received directory path is file');
if (config.standIn === 'fail')
  fail(`password ${process.env.PGPASSWORD}, salt ${process.env.GREENMASK_GLOBAL_SALT}`);
if (config.standIn?.wait !== undefined) {
  const child = spawn('sleep', ['300'], {stdio: 'ignore'});
  writeFileSync(config.standIn.wait, `${process.pid} ${child.pid} ${storage}`);
  await new Promise((resolve) => child.on('exit', () => setTimeout(resolve, 60_000)));
}
const folder = join(storage, String(Date.now()));
// Each pattern is a field of CSV.
const tables = values.table.map((field) => `--table=${field.slice(1, -1).replaceAll('""', '"')}`);
execFileSync('pg_dump', ['--format=directory', `--file=${folder}`, ...tables]);
const listed = execFileSync('pg_restore', ['--list', folder], {encoding: 'utf8'});
const sql = execFileSync('pg_restore', ['--data-only', '--file=-', folder], {encoding: 'utf8'});
for (const [, id, schema, name] of listed.matchAll(/^(\d+); \d+ \d+ TABLE DATA (\S+) (\S+) /gm)) {
  const rules = config.dump.transformation.find((one) => one.schema === schema && one.name === name);
  const [, columns] = new RegExp(`^COPY ${schema}\\.${name} \\((.*)\\) FROM stdin;$`, 'm').exec(sql) ?? [];
  if (!rules || columns === undefined) continue;
  const file = join(folder, `${id}.dat.gz`);
  const names = columns.split(', ').map((column) => column.replaceAll('"', ''));
  const rows = gunzipSync(readFileSync(file)).toString().split('\n').map((row) => {
    const fields = row.split('\t');
    if (fields.length !== names.length) return row; // the end
    for (const {name: kind, params} of rules.transformers) {
      const at = names.indexOf(params.column);
      if (fields[at] === '\\N') continue;
      const salt = process.env.GREENMASK_GLOBAL_SALT ?? '';
      fields[at] = kind === 'Replace' ? params.value : createHash('sha1').update(salt + fields[at]).digest('base64'); // prettier-ignore
    }
    return fields.join('\t');
  }); // prettier-ignore
  writeFileSync(file, gzipSync(config.standIn === 'lose' ? `${rows.slice(1).join('\n')}` : rows.join('\n')));
}
writeFileSync(join(folder, 'metadata.json'), '{}');
writeFileSync(join(folder, 'heartbeat'), 'done');
console.error(`2026-07-01T08:00:00Z INF dumped files=${readdirSync(folder).length}`);
