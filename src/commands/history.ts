/** destino-db history */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {countFlag, groups, repeatableFlag} from '../lib/cli/flags.js';
import {showHistory} from '../lib/cli/show/show-history.js';
import {type HistoryResult, listRuns} from '../lib/services/status/list-runs.js';

export default class History extends BaseCommand {
  static override summary = 'print the audit log: every run that did work';
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
    command: Flags.string({
      helpGroup: groups.whichRuns,
      helpValue: 'ID',
      summary: 'Command of the runs, such as backup or orders:clean (default: all).',
    }),
    database: repeatableFlag('NAME', 'Database of the runs (repeatable; default: all).', {
      helpGroup: groups.whichRuns,
      exclusive: ['all-databases'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichRuns,
      summary: 'List only runs of "databases" in the config file.',
    }),
    failed: Flags.boolean({
      helpGroup: groups.whichRuns,
      summary: 'List only runs that failed, were interrupted or raised an alarm.',
    }),
    since: Flags.string({
      helpValue: 'TIME',
      helpGroup: groups.whichRuns,
      summary: 'Start of the first run: 7d, 2026-11-01 or 2026-11-01T02:00Z (default: no limit).',
    }),
    limit: countFlag('Number of runs, newest last (default: no limit).', {
      helpGroup: groups.whichRuns,
      min: 1,
    }),
  };

  async run(): Promise<HistoryResult> {
    const {flags} = await this.parse(History);
    const request = defined({
      ...flags,
      databases: flags.database,
      isAllDatabases: flags['all-databases'],
    });
    return this.perform(flags, (context) => listRuns(context, request), showHistory);
  }
}
