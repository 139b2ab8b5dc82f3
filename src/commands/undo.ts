/** destino-db undo */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {confirmFlags, groups, lockWaitFlag, lockWaitMsOf, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {repeatCommand, withoutConsent} from '../lib/cli/repeat-command.js';
import {showUndo} from '../lib/cli/show/show-undo.js';
import {type UndoRequest, undoRestore} from '../lib/services/restore/undo.js';

export default class Undo extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'bring back the database that the last restore replaced';
  static override description = `Nothing is dropped: the newer content is set aside in turn, so a second undo takes the first one back.
Exit codes: 0 done, 1 failed, 2 usage or nothing set aside, 3 environment, 5 refused, 130 interrupted.`;
  static override examples = [
    {description: 'see what would come back', command: '<%= config.bin %> undo --dry-run'},
    {description: 'bring it back', command: '<%= config.bin %> undo --target-db shop --yes'},
  ];
  static override flags = {
    'target-db': Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'NAME',
      summary: 'Database to bring back (default: that of the URL).',
    }),
    'set-aside-db': Flags.string({
      helpValue: 'NAME',
      helpGroup: groups.setAside,
      summary:
        'Set-aside database to bring back, even where its owner or name is doubtful (default: the newest).',
    }),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Print what would come back, and change nothing.',
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags} = await this.parse(Undo);
    const request = defined<UndoRequest>({
      targetDb: flags['target-db'],
      setAsideDb: flags['set-aside-db'],
      dryRun: flags['dry-run'],
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
    });
    const repeat = (target: string, isDone: boolean): string =>
      repeatCommand(
        this.config.bin,
        'undo',
        withoutConsent(this.argv),
        ['--target-db', target],
        ['--target-db', '--confirm-db', ...(isDone ? ['--set-aside-db'] : [])],
      );
    return this.perform(flags, (context) => undoRestore(context, request), showUndo(repeat));
  }
}
