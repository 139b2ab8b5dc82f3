/** oclif's help, where no page that the build prepared is at hand: other widths, several words, `help COMMAND`. */
import {HelpBase, type Command} from '@oclif/core';
import {unknownCommand} from './command-not-found.js';
import {commandPage, rootPage, shortCommandPage, topicPage} from './help-pages.js';
import {widthOf, writePage} from './write-page.js';

export default class DestinoHelp extends HelpBase {
  /** One screen where `argv` has a flag that asks for help; `help COMMAND`, which hands over the command alone, explains every flag. */
  override showHelp(argv: string[]): Promise<void> {
    const [word = ''] = argv.filter((arg) => !arg.startsWith('-'));
    const isShort = argv.some((arg) =>
      ['--help', ...(this.config.pjson.oclif.additionalHelpFlags ?? [])].includes(arg),
    );
    const command = this.config.findCommand(word);
    const topic = this.config.findTopic(word);
    const {bin} = this.config;
    if (word === '') this.showRoot(isShort);
    else if (command) this.show((width) => (isShort ? shortCommandPage : commandPage)(command, bin, width));
    else if (topic) {
      const commands = this.commands().filter(({id}) => id.startsWith(`${word}:`));
      this.show((width) => topicPage(topic, commands, bin, width));
    } else unknownCommand(word, argv, this.config);
    return Promise.resolve();
  }

  override showCommandHelp(command: Command.Loadable): Promise<void> {
    return this.showHelp([command.id, '--help']);
  }

  private showRoot(isShort: boolean): void {
    this.show((width) => rootPage(this.commands(), this.config, width, isShort));
  }

  private commands(): Command.Loadable[] {
    return [...this.config.commands].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  private show(page: (width: number) => string): void {
    writePage(page(widthOf(process.stdout)));
  }
}
