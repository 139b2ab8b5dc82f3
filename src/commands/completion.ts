/** destino-db completion SHELL */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Args} from '@oclif/core';
import {BaseCommand} from '../lib/cli/base-command.js';
import {shells} from '../lib/cli/help/completion-scripts.js';

export default class Completion extends BaseCommand {
  static override summary = 'print the completion script of bash, zsh or fish';
  static override description =
    'The script completes commands, flags and their values, and from the backups folder ids, labels and names of databases. It does not\n' +
    'start destino-db to do so.\nExit codes: 0 done, 2 usage.';
  static override examples = [
    {description: 'a line for ~/.bashrc', command: 'source <(<%= config.bin %> completion bash)'},
    {
      description: 'a line for ~/.zshrc, below compinit',
      command: 'source <(<%= config.bin %> completion zsh)',
    },
    {
      description: 'a line for ~/.config/fish/config.fish',
      command: '<%= config.bin %> completion fish | source',
    },
  ];
  static override args = {
    shell: Args.string({
      options: [...shells],
      required: true,
      ignoreStdin: true,
      description: 'Shell to complete in.',
    }),
  };

  /** Shells ask this whenever they start, so it looks at no settings. */
  async run() {
    const {args} = await this.parse(Completion);
    const script = await readFile(join(this.config.root, 'dist/completion', args.shell), 'utf8');
    if (!this.jsonEnabled()) process.stdout.write(script);
    return {schemaVersion: 1, shell: args.shell, script};
  }
}
