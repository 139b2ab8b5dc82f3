#!/bin/sh
true /* The shell runs the next line, JavaScript reads a comment: without "--" Node.js takes --env-file for its own.
exec node -- "$0" "$@"
*/ || 0;
const {readFileSync} = require('node:fs');
const {join} = require('node:path');

// A password in --database-url must not stay in what `ps` shows.
process.title = 'destino-db';

const args = process.argv.slice(2);
const globalFlags = globalFlagsBefore(args);
const isHelp = args[0] === 'help' || ['--help', '-h'].includes(args.at(-1) ?? '');

// Monitors and shells ask these often: answered without loading oclif.
if (args.length === 1 && ['--version', '-v', 'version'].includes(args[0])) {
  const {name, version} = require('../package.json');
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
} else if (!showPreparedHelp()) {
  // The AWS SDK says on stderr, at every use, which Node.js its future versions will need.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  // Stacks name the files of the source; reading the maps takes time that only those who look at stacks should spend.
  if (args.includes('--verbose')) process.setSourceMapsEnabled(true);
  else {
    const {build} = require('../dist/program/package.json');
    require('../dist/program/cli/code-cache.js').keepCompiledCode(join(__dirname, '../dist/program'), build);
  }
  const {flush, handle, run} = require('../dist/program/cli/oclif.js');
  // Before the command: a module that could not be opened with it cannot be loaded again to tell so.
  const {asAppError, errorLines} = require('../dist/program/cli/show/show-error.js');
  if (args.length === 0) args.push('overview');
  // Help needs none of them, and would take their values for words.
  args.push(...(isHelp ? globalFlags.filter((flag) => flag === '--no-color') : globalFlags));
  // "orders clean" is the same as "orders:clean"; oclif alone would print the topic's help and succeed.
  const [first, second] = args[0] === 'help' ? args.slice(1) : args;
  const isTopic = first === 'orders' || first === 'workflow';
  // "restore" is a command as well, so that only this word makes it another one.
  const isCommand = first === 'restore' && second === 'rows';
  if (isCommand || (isTopic && second !== undefined && !second.startsWith('-')))
    args.splice(args.indexOf(first), 2, `${first}:${second}`);
  // A command's own errors are shown by the command; these are of finding and loading it.
  // No plugins of the user's: the program has none, and a home folder that cannot be read would be reported at every run.
  run(args, {root: join(__dirname, '..'), userPlugins: false})
    .then(flush, async (error) => {
      if (error?.code === 'EEXIT') return handle(error);
      const shown = asAppError(error);
      if (shown.code === 'UNEXPECTED') return handle(error);
      const plain = (text) => text;
      process.stderr.write(`${errorLines(shown, {red: plain, dim: plain, bold: plain}, false).join('\n')}\n`);
      process.exit(shown.exitCode);
    })
    .then(() => process.exit());
}

/** Takes the global flags before the command out of the words; oclif knows them behind it only. */
function globalFlagsBefore(words) {
  const withValue = [
    '--config',
    '--env-file',
    '--database-url',
    '--backups-dir',
    '--pg-bin',
    '--metrics-file',
  ];
  const flags = [
    ...withValue,
    '--json',
    '--quiet',
    '-q',
    '--verbose',
    '--use-direct-url',
    '--use-database-url',
    '--no-color',
  ];
  let count = 0;
  while (flags.includes(words[count]?.split('=')[0])) count += withValue.includes(words[count]) ? 2 : 1;
  return words.splice(0, count);
}

/** The help page that the build wrote down for these words; a narrower terminal asks oclif. */
function showPreparedHelp() {
  if (!isHelp) return false;
  // "help", "help backup" and "help help" are "--help", "backup --help" and "help --help".
  const words = args[0] === 'help' ? args.slice(1) : [...args];
  if (!['--help', '-h'].includes(words.at(-1) ?? '')) words.push('--help');
  const name = words.join(' ').replace(':', ' ');
  if (!/^[a-z -]+$/.test(name)) return false;
  let page;
  try {
    page = readFileSync(join(__dirname, `../dist/help/${name}.txt`), 'utf8');
  } catch {
    return false; // no such command or topic
  }
  const {pageWidth, widthOf, writePage} = require('../dist/program/cli/help/write-page.js');
  if (widthOf(process.stdout) < pageWidth) return false;
  writePage(page, globalFlags.includes('--no-color'));
  return true;
}
