/** destino-db doctor */
import {BaseCommand} from '../lib/cli/base-command.js';
import {showDoctor} from '../lib/cli/show/show-doctor.js';
import {commandLineCheck} from '../lib/cli/help/check-command-line.js';
import {exitStatus} from '../lib/base/errors.js';
import type {RunContext} from '../lib/run/run-context.js';
import {checkMachine, type DoctorResult} from '../lib/services/doctor/doctor.js';

export default class Doctor extends BaseCommand {
  static override summary = 'check this machine and the connection, explain fixes';
  static override description =
    'Changes nothing, and works without a connection too.\n' +
    'Exit codes: 0 all that is needed is there, 2 usage or a bad config file, 3 something needed is missing.';
  static override examples = [
    '<%= config.bin %> doctor',
    "<%= config.bin %> doctor --json | jq '.checks[] | select(.ok | not)'",
  ];

  async run(): Promise<DoctorResult> {
    const {flags} = await this.parse(Doctor);
    const work = (context: RunContext) => checkMachine(context, commandLineCheck(this.config));
    return this.perform(flags, work, showDoctor, {
      exitCodeOf: (result) => (result.ok ? 0 : exitStatus.environment),
    });
  }
}
