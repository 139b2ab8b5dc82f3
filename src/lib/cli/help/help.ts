/** oclif's help, where no page that the build prepared is at hand: other widths, several words. */
import {HelpBase, type Command} from '@oclif/core';
import {unknownCommand} from './command-not-found.js';
import {commandPage, commandsPage, rootPage, shortCommandPage, shortRootPage} from './help-pages.js';
import {isHelpTopic} from './help-topics.js';
import {widthOf, writePage} from './write-page.js';

export default class DestinoHelp extends HelpBase {
  /** The short page where `argv` has -h; `help COMMAND`, which hands over the command alone, and --help explain every flag. */
  override async showHelp(argv: string[]): Promise<void> {
    const [word = ''] = argv.filter((arg) => !arg.startsWith('-'));
    const width = widthOf(process.stdout);
    writePage(await this.page(word, argv, width), argv.includes('--no-color'));
  }

  override showCommandHelp(command: Command.Loadable): Promise<void> {
    return this.showHelp([command.id]);
  }

  private async page(word: string, argv: string[], width: number): Promise<string> {
    const {bin} = this.config;
    const isShort = argv.includes('-h');
    const commands = [...this.config.commands].sort((a, b) => (a.id < b.id ? -1 : 1));
    if (word === '') return (isShort ? shortRootPage : rootPage)(commands, this.config, width);
    const command = this.config.findCommand(word);
    if (command) return (isShort ? shortCommandPage : commandPage)(command, bin, width);
    if (isHelpTopic(word)) return (await import('./topic-pages.js')).topicPage(word, bin, width);
    const topic = this.config.findTopic(word);
    if (topic) return commandsPage(topic, commands, bin, width);
    return unknownCommand(word, argv, this.config, true);
  }
}
