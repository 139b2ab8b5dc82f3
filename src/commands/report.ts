/** destino-db report */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {groups, repeatableFlag} from '../lib/cli/flags.js';
import {showReport} from '../lib/cli/show/show-report.js';
import {writeReport} from '../lib/services/report/write-report.js';

export default class Report extends BaseCommand {
  static override summary = 'write an HTML page with trends of backups and tests';
  static override description = `The page needs no network and no scripts, follows light and dark, and prints on A4.
Exit codes: 0 done, 1 the backups or the audit log cannot be read, 3 the page cannot be written.`;
  static override examples = [
    {description: 'write backups/report.html', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'write it elsewhere',
      command: '<%= config.bin %> <%= command.id %> --output www/backups.html',
    },
    {
      description: 'the same data for other tools',
      command: '<%= config.bin %> <%= command.id %> --json | jq .summary',
    },
  ];
  static override flags = {
    from: Flags.string({
      helpValue: 'PLACE',
      helpGroup: groups.whichBackup,
      summary:
        'Location of the backups: s3://bucket/prefix or a folder (default: the backups folder and its copies).',
    }),
    database: repeatableFlag('NAME', 'Database of the report (repeatable; default: all).', {
      helpGroup: groups.whichBackup,
      exclusive: ['all-databases'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Report on "databases" of the config file only.',
    }),
    output: Flags.string({
      char: 'o',
      helpGroup: groups.whereTo,
      summary: 'File to write (default: report.html in the backups folder).',
      helpValue: 'FILE',
    }),
  };

  async run() {
    const {flags} = await this.parse(Report);
    return this.perform(
      flags,
      (context) =>
        writeReport(
          context,
          defined({
            output: flags.output,
            from: flags.from,
            databases: flags.database,
            isAllDatabases: flags['all-databases'],
          }),
        ),
      (result, style) => showReport(result, style),
    );
  }
}
