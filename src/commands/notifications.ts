/** destino-db notifications */
import {Flags} from '@oclif/core';
import {BaseCommand} from '../lib/cli/base-command.js';
import {groups} from '../lib/cli/flags.js';
import {showNotifications} from '../lib/cli/show/show-notifications.js';
import {
  checkNotifications,
  exitCodeOfTargets,
  type NotificationsResult,
} from '../lib/services/status/test-notifications.js';

export default class Notifications extends BaseCommand {
  static override summary = 'list where runs are reported, send a test message';
  static override description =
    'Lists notifications.targets of the config file with their events. --test sends a test message to each and reports which arrived.\n' +
    'A ping gets its test message at URL/log, which changes no state.\n' +
    'Exit codes: 0 all arrived, 1 a test message did not arrive, 2 usage or no target in the config file.';
  static override examples = [
    '<%= config.bin %> notifications',
    '<%= config.bin %> notifications --test',
    "<%= config.bin %> notifications --test --json | jq '.targets[] | select(.ok | not)'",
  ];
  static override flags = {
    test: Flags.boolean({
      helpGroup: groups.output,
      summary: 'Send a test message to every target, and report which arrived.',
    }),
  };

  async run(): Promise<NotificationsResult> {
    const {flags} = await this.parse(Notifications);
    return this.perform(
      flags,
      (context) => checkNotifications(context, {isTest: flags.test}),
      showNotifications,
      {exitCodeOf: exitCodeOfTargets},
    );
  }
}
