/** destino-db help COMMAND: all that --help shows on one screen, and what each flag does */
import {Args, Command} from '@oclif/core';
import DestinoHelp from '../lib/cli/help.js';

export default class Help extends Command {
  static override summary = 'explain a command, flag by flag';
  static override description = 'COMMAND --help shows the same on one screen.\nExit codes: 0 done, 2 usage.';
  static override examples = ['<%= config.bin %> help backup', '<%= config.bin %> help orders clean'];
  static override args = {command: Args.string({description: 'Command to show the help of.'})};

  async run(): Promise<void> {
    const {args} = await this.parse(Help);
    await new DestinoHelp(this.config).showHelp(args.command === undefined ? [] : [args.command], false);
  }
}
