#!/usr/bin/env node
// A password in --database-url must not stay in what `ps` shows.
process.title = 'destino-db';

const args = process.argv.slice(2);
const [first] = args;

if (args.length === 1 && (first === '--version' || first === '-v')) {
  // Answered without loading oclif: monitors and shells ask this often.
  process.stdout.write(`${await version()}\n`);
} else if (!(args.length === 1 && (first === '--help' || first === '-h') && (await showPreparedHelp()))) {
  const {enableCompileCache} = await import('node:module');
  enableCompileCache?.(); // Node 22 and newer
  // The AWS SDK says on stderr, at every use, which Node.js its future versions will need.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const {execute, flush} = await import('@oclif/core');
  // "orders clean" is the same as "orders:clean"; oclif alone would print the topic's help and succeed.
  const isTopic = first === 'orders' || first === 'workflow';
  if (isTopic && args[1] !== undefined && !args[1].startsWith('-')) args.splice(0, 2, `${first}:${args[1]}`);
  await execute({dir: import.meta.url, args});
  await flush();
  process.exit();
}

async function version() {
  const {readFileSync} = await import('node:fs');
  const {name, version} = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`;
}

/** The root help as the build wrote it down, where it did; a terminal of another width or with a theme of its own asks oclif. */
async function showPreparedHelp() {
  const {stdout, env} = process;
  if (env.OCLIF_COLUMNS || env.FORCE_COLOR || (stdout.isTTY && stdout.columns < 80)) return false;
  const {readFileSync} = await import('node:fs');
  let text;
  try {
    text = readFileSync(new URL('../dist/root-help.txt', import.meta.url), 'utf8');
  } catch {
    return false; // the build is about to write it
  }
  const isPlain = !stdout.isTTY || env.NO_COLOR || env.TERM === 'dumb';
  text = text.replace(/^ {2}\S+\/\S+ \S+ node-\S+$/m, `  ${await version()}`);
  stdout.write(isPlain ? text.replace(/\u001b\[\d+m/g, '') : text);
  return true;
}
