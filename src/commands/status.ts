/** destino-db status */
import {Flags, type Interfaces} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {groups, repeatableFlag} from '../lib/cli/flags.js';
import {proofLevels} from '../lib/run/check-outcome.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {asAppError} from '../lib/cli/show/show-error.js';
import {nagiosStatus, nagiosUnknown, showNagios, showStatus} from '../lib/cli/show/show-status.js';
import {exitStatus} from '../lib/base/errors.js';
import {redact} from '../lib/base/redact.js';
import {checkStatus, type StatusResult} from '../lib/services/status/check-status.js';

export default class Status extends BaseCommand {
  static override summary = 'check that the newest backup is young and proven enough';
  static override description =
    'Reads the backups folder, the audit log and the locations of the config file, without a database. Prints a line for each problem.\n' +
    'Exit codes: 0 no problem, or --forget is done, 4 a problem was found, 2 usage, 1 or 3 the folder cannot be read.\n' +
    'With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.';
  static override examples = [
    '<%= config.bin %> status --max-age 26h --require archive --max-restore-test-age 35d',
    '<%= config.bin %> status --nagios',
    '<%= config.bin %> status --json | jq -r ".findings[].message"',
  ];
  static override flags = {
    'max-age': Flags.string({
      helpGroup: groups.limits,
      helpValue: 'TIME',
      summary: 'Age that the newest usable backup may have (default: 26h).',
    }),
    require: Flags.option({options: proofLevels})({
      helpGroup: groups.limits,
      summary: 'Lowest level that a backup must have passed to count (default: none).',
    }),
    'max-restore-test-age': Flags.string({
      helpGroup: groups.limits,
      helpValue: 'TIME',
      summary: 'Age that the last passed restore test may have, such as 35d (default: no limit).',
    }),
    database: repeatableFlag('NAME', 'Database to look at (repeatable; default: all).', {
      helpGroup: groups.whichBackup,
      exclusive: ['all-databases'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Look at "databases" of the config file only (default: at all that have a backup too).',
    }),
    from: Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PLACE',
      summary: 'Location to look at: s3://bucket/prefix or a folder (default: the backups folder).',
      exclusive: ['places'],
    }),
    places: Flags.boolean({
      helpGroup: groups.whichBackup,
      allowNo: true,
      summary: 'Check that the locations of the config file have copies (default: on).',
    }),
    forget: repeatableFlag('NAME', 'Database to stop watching until it has a new backup (repeatable).', {
      helpGroup: groups.whichBackup,
      exclusive: ['database', 'all-databases', 'from', 'notify', 'nagios'],
    }),
    notify: Flags.boolean({
      helpGroup: groups.output,
      summary: 'Notify the targets of the config file if something is found (event stale).',
    }),
    nagios: Flags.boolean({
      helpGroup: groups.output,
      summary: 'Print one line, with the exit codes of a Nagios plugin.',
      exclusive: ['json'],
    }),
  };

  async run(): Promise<StatusResult> {
    const {flags} = await this.parse(Status);
    return this.perform(
      flags,
      (context) =>
        checkStatus(
          context,
          defined({
            maxAge: flags['max-age'],
            require: flags.require,
            maxRestoreTestAge: flags['max-restore-test-age'],
            databases: flags.database,
            isAllDatabases: flags['all-databases'],
            forget: flags.forget,
            from: flags.from,
            hasPlaces: flags.places,
            notify: flags.notify,
          }),
        ),
      flags.nagios ? showNagios : showStatus,
      {
        exitCodeOf: (result) =>
          flags.nagios
            ? nagiosStatus(result)
            : result.ok || flags.forget !== undefined
              ? 0
              : exitStatus.integrity,
      },
    );
  }

  /** A monitor takes exit status 1 or 2 for a state of the backups, so that trouble with the check itself must be 3. */
  override async catch(error: Interfaces.CommandError): Promise<void> {
    if (!this.argv.includes('--nagios')) return super.catch(error);
    const {code, message} = asAppError(error);
    process.stdout.write(`${redact(nagiosUnknown(`${code}: ${message}`))}\n`);
    process.exitCode = 3;
  }
}
