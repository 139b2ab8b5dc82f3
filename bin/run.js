#!/usr/bin/env node
// A password in --database-url must not stay in what `ps` shows.
process.title = 'destino-db';

const args = process.argv.slice(2);

if (args.length === 1 && (args[0] === '--version' || args[0] === '-v')) {
  // Answered without loading oclif: monitors and shells ask this often.
  const {readFileSync} = await import('node:fs');
  const {name, version} = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
} else {
  const {enableCompileCache} = await import('node:module');
  enableCompileCache?.(); // Node 22 and newer
  // The AWS SDK says on stderr, at every use, which Node.js its future versions will need.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const {execute, flush} = await import('@oclif/core');
  // "orders clean" is the same as "orders:clean"; oclif alone would print the topic's help and succeed.
  const isTopic = args[0] === 'orders' || args[0] === 'workflow';
  if (isTopic && args[1] !== undefined && !args[1].startsWith('-'))
    args.splice(0, 2, `${args[0]}:${args[1]}`);
  await execute({dir: import.meta.url, args});
  await flush();
  process.exit();
}
