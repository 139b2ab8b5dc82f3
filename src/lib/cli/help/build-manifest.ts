/** Build step: writes oclif.manifest.json and src/lib/base/command-facts.ts from the compiled commands, the help pages and the completion of shells, so that these need no code of theirs, nor oclif. */
import {mkdir, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {Config, Plugin} from '@oclif/core';
import {completionScript, shells} from './completion-scripts.js';
import {commandPage, commandsPage, rootPage, shortCommandPage, shortRootPage} from './help-pages.js';
import {helpTopics, isHelpTopic} from './help-topics.js';
import {topicPage} from './topic-pages.js';
import {pageWidth} from './write-page.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const plugin = new Plugin({
  root,
  type: 'core',
  ignoreManifest: true,
  errorOnManifestCreate: true,
  respectNoCacheDefault: true,
});
await plugin.load();
const {manifest} = plugin;
// In order of their ids, as the order of files in a folder differs from machine to machine.
const sorted = Object.fromEntries(Object.entries(manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)));
await writeFile(
  `${root}/oclif.manifest.json`,
  `${JSON.stringify({...manifest, commands: sorted}, null, 2)}\n`,
);

// Settings and services know the recorded commands from here, as they import none.
const facts = Object.entries(sorted).flatMap(([id, {flags, isRecorded}]) =>
  isRecorded === true
    ? `  ${id.includes(':') ? `'${id}'` : id}: {canWait: ${'wait' in flags}, isPreviewByDefault: ${'execute' in flags}},\n`
    : [],
);
await writeFile(
  `${root}/src/lib/base/command-facts.ts`,
  `/** The commands whose runs are recorded. The build writes this from their classes (cli/help/build-manifest.ts). */

interface CommandFacts {
  /** Whether it works where one run at a time may, and so has the flag --wait. */
  readonly canWait: boolean;
  /** Whether it changes something only with --execute. */
  readonly isPreviewByDefault: boolean;
}

export const commandFacts: Readonly<Record<string, CommandFacts>> = {
${facts.join('')}};
`,
);

const config = await Config.load(root);
const {bin, commands} = config;
const pages = `${root}/dist/help`;
await mkdir(pages);
const shown = commands.filter(({hidden}) => !hidden).sort((a, b) => (a.id < b.id ? -1 : 1));
const write = (words: string, page: string): Promise<void> => writeFile(`${pages}/${words}.txt`, page);
await write('--help', rootPage(shown, config, pageWidth));
await write('-h', shortRootPage(shown, config, pageWidth));
for (const command of shown) {
  const name = command.id.replace(':', ' ');
  await write(`${name} --help`, commandPage(command, bin, pageWidth));
  await write(`${name} -h`, shortCommandPage(command, bin, pageWidth));
}
for (const topic of config.topics.filter(({name}) => config.findCommand(name) === undefined))
  await write(`${topic.name} --help`, commandsPage(topic, shown, bin, pageWidth));
for (const topic of Object.keys(helpTopics).filter(isHelpTopic))
  await write(`${topic} --help`, topicPage(topic, bin, pageWidth));

const completion = `${root}/dist/completion`;
await mkdir(completion);
for (const shell of shells) await writeFile(`${completion}/${shell}`, completionScript(shell, bin, shown));
