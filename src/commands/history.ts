/** destino-db history */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {countFlag} from '../lib/cli/flags.js';
import {showHistory} from '../lib/cli/show/show-history.js';
import {type HistoryResult, listRuns} from '../lib/services/status/list-runs.js';

export default class History extends BaseCommand {
  static override summary = 'the audit log: every run that did work, newest last';
  static override description =
    'Who ran what, when, on which database, and how it ended: from BACKUPS-DIR/history.jsonl and the files put aside.\n' +
    'Runs that only look (list, status, history, ...) are not recorded.\n' +
    'Exit codes: 0 done, 1 the audit log cannot be read, 2 usage.';
  static override examples = [
    '<%= config.bin %> history --limit 20',
    '<%= config.bin %> history --failed --since 7d',
    '<%= config.bin %> history --command backup --json | jq ".runs[-1]"',
  ];
  static override flags = {
    command: Flags.string({helpValue: 'ID', summary: 'Only this command, such as backup or orders:clean.'}),
    database: Flags.string({helpValue: 'NAME', summary: 'Only runs on this database.'}),
    failed: Flags.boolean({summary: 'Only runs that failed, were interrupted or raised an alarm.'}),
    since: Flags.string({
      helpValue: 'TIME',
      summary: 'Only runs since then: 7d, 2026-11-01 or 2026-11-01T02:00Z.',
    }),
    limit: countFlag('Only the newest N runs.', {min: 1}),
  };

  async run(): Promise<HistoryResult> {
    const {flags} = await this.parse(History);
    return this.perform(flags, (context) => listRuns(context, defined(flags)), showHistory);
  }
}
