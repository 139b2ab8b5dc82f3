/** destino-db status */
import {Flags, type Interfaces} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {repeatableFlag} from '../lib/cli/flags.js';
import {proofLevels} from '../lib/run/check-outcome.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {asAppError} from '../lib/cli/show/show-error.js';
import {nagiosStatus, nagiosUnknown, showNagios, showStatus} from '../lib/cli/show/show-status.js';
import {exitStatus} from '../lib/base/errors.js';
import {redact} from '../lib/base/redact.js';
import {checkStatus, type StatusResult} from '../lib/services/status/check-status.js';

export default class Status extends BaseCommand {
  static override summary = 'is the newest good backup young enough? for monitors';
  static override description =
    'Looks at the backups folder, the audit log and the places of the config; needs no database. A line for everything that is not as\n' +
    'it should be.\n' +
    'Exit codes: 0 all is well or --forget is done, 4 something was found, 2 usage, 1 or 3 the folder cannot be read.\n' +
    'With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.';
  static override examples = [
    '<%= config.bin %> status --max-age 26h --require archive --max-restore-test-age 35d',
    '<%= config.bin %> status --nagios',
    '<%= config.bin %> status --json | jq -r ".findings[].message"',
  ];
  static override flags = {
    'max-age': Flags.string({
      helpGroup: 'LIMITS',
      helpValue: 'TIME',
      summary: 'How old the newest good backup may be (default 26h).',
    }),
    require: Flags.option({options: proofLevels})({
      helpGroup: 'LIMITS',
      summary: 'Count only backups proven at least so far.',
    }),
    'max-restore-test-age': Flags.string({
      helpGroup: 'LIMITS',
      helpValue: 'TIME',
      summary: 'How old the last restore test that held may be, such as 35d.',
    }),
    database: repeatableFlag('NAME', 'Only this database (repeatable).', {helpGroup: 'WHAT'}),
    from: Flags.string({
      helpGroup: 'WHAT',
      helpValue: 'PLACE',
      summary: 'Judge the backups in s3://bucket/prefix, or in a folder, instead.',
      exclusive: ['places'],
    }),
    places: Flags.boolean({
      helpGroup: 'WHAT',
      allowNo: true,
      summary: 'Also look whether the places in the config have copies (the default).',
    }),
    forget: repeatableFlag(
      'NAME',
      'Stop watching this database until there is a new backup of it (repeatable).',
      {helpGroup: 'WHAT', exclusive: ['database', 'from', 'notify', 'nagios']},
    ),
    notify: Flags.boolean({
      helpGroup: 'OUTPUT',
      summary: 'Tell the targets in the config when something is found (event stale).',
    }),
    nagios: Flags.boolean({
      helpGroup: 'OUTPUT',
      summary: 'One line and the exit statuses of a Nagios plugin.',
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
