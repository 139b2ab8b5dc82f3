/** destino-db without a command: the state of the backups, and the next steps. Not in the list of commands, as it needs no name. */
import {BaseCommand} from '../lib/cli/base-command.js';
import {showOverview} from '../lib/cli/show/show-overview.js';
import {overview} from '../lib/services/status/overview.js';

export default class OverviewCommand extends BaseCommand {
  static override hidden = true;
  static override summary = 'what is set up, what backups there are, and what to do first';
  static override description = 'Exit codes: 0 done, 1 the backups folder cannot be read, 2 usage.';

  async run() {
    const {flags} = await this.parse(OverviewCommand);
    return this.perform(flags, overview, showOverview(this.config.bin));
  }
}
