/** destino-db restore:rows */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {AppError} from '../../lib/base/errors.js';
import {parseEndOf} from '../../lib/base/parse-end-of.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  atFlag,
  backupArgument,
  confirmFlags,
  conflictsFlag,
  dryRunFlag,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  namedBackup,
  placeFlags,
  repeatableFlag,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {planFlag} from '../../lib/cli/order-flags.js';
import {repeatCommand} from '../../lib/cli/repeat-command.js';
import {showRestoredRows, showUndoneRows} from '../../lib/cli/show/show-restored-rows.js';
import type {RestoreRowsRequest} from '../../lib/services/rows/request.js';
import {restoreRows} from '../../lib/services/rows/restore-rows.js';
import {undoRows} from '../../lib/services/rows/undo-rows.js';

export default class RestoreRows extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'restore deleted or changed rows into the live database';
  static override description = `Compares the rows of a backup with the live tables by their keys, and keeps rows that are newer. Without --execute nothing is changed.
--execute writes in one transaction, which commits only if every row then reads as in the backup. Before that, an undo file
records every row that is inserted or overwritten; --undo takes it back, unless rows have changed since.
Exit codes: 0 done, 1 failed and rolled back, 2 usage, 3 environment, 4 damaged backup, 5 refused (not confirmed, locked, plan changed, conflicts), 130 interrupted.`;
  static override examples = [
    {
      description: 'what was deleted since the last backup',
      command: '<%= config.bin %> <%= command.id %> --table public.orders --missing',
    },
    {
      description: 'one order, with all that was deleted with it',
      command: '<%= config.bin %> <%= command.id %> --table orders --missing --key ID --with-children',
    },
    {
      description: 'undo a wrong update of one column',
      command: '<%= config.bin %> <%= command.id %> --table products --changed --columns price --execute',
    },
    {
      description: 'take the last one back',
      command: '<%= config.bin %> <%= command.id %> --undo latest --execute',
    },
  ];
  static override args = backupArgument;
  static override flags = {
    ...atFlag,
    ...placeFlags,
    table: repeatableFlag('NAME', 'Table of the rows, as public.orders (repeatable).', {
      helpGroup: groups.whichRows,
    }),
    missing: Flags.boolean({helpGroup: groups.whichRows, summary: 'Insert rows that the database lacks.'}),
    changed: Flags.boolean({
      helpGroup: groups.whichRows,
      summary: 'Update rows that differ from the backup.',
    }),
    all: Flags.boolean({
      helpGroup: groups.whichRows,
      summary: 'Insert missing rows and update changed ones.',
    }),
    where: Flags.string({
      helpGroup: groups.whichRows,
      helpValue: 'SQL',
      summary: "Condition that the backup's rows must meet (default: none).",
    }),
    key: repeatableFlag(
      'VALUE',
      'Key of a row to restore, with commas between its parts (repeatable; default: all rows).',
      {helpGroup: groups.whichRows},
    ),
    columns: Flags.string({
      helpGroup: groups.whichRows,
      helpValue: 'A,B',
      summary: 'Columns of changed rows to restore (default: all).',
    }),
    'with-parents': Flags.boolean({
      helpGroup: groups.whichRows,
      summary: 'Insert missing rows that foreign keys need, too.',
    }),
    'with-children': Flags.boolean({
      helpGroup: groups.whichRows,
      summary: 'Restore rows that ON DELETE removed or unlinked with a missing row, too.',
    }),
    ...dryRunFlag,
    execute: Flags.boolean({helpGroup: groups.safety, summary: 'Write the rows, after a question.'}),
    ...planFlag,
    details: Flags.boolean({helpGroup: groups.safety, summary: 'List every key (default: the first ones).'}),
    ...conflictsFlag,
    'fire-triggers': Flags.boolean({
      helpGroup: groups.safety,
      summary:
        'Let the triggers of the tables fire (default: off meanwhile, where the role owns the tables).',
    }),
    undo: Flags.string({
      helpGroup: groups.safety,
      helpValue: 'FILE',
      summary: 'Undo file of an earlier run to take back, or latest.',
      exclusive: [
        'at',
        'from',
        'table',
        'missing',
        'changed',
        'all',
        'where',
        'key',
        'columns',
        'with-parents',
        'with-children',
        'plan',
        'details',
        'fail-on-conflicts',
      ],
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags, args} = await this.parse(RestoreRows);
    const {undo} = flags;
    const backupFile = namedBackup(args.backup, flags, ['at']);
    const common = {
      execute: flags.execute,
      firesTriggers: flags['fire-triggers'],
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
    };
    const repeat = (...added: string[]): string =>
      repeatCommand(this.config.bin, 'restore:rows', this.argv, added, ['--plan']);
    if (undo !== undefined) {
      if (backupFile !== undefined)
        throw new AppError('USAGE', '--undo takes no backup: the undo file contains the rows.');
      return this.perform(
        flags,
        (context) => undoRows(context, sourceOf(flags), defined({...common, undo})),
        showUndoneRows(repeat),
      );
    }
    const request = defined<RestoreRowsRequest>({
      ...common,
      backupFile,
      at: flags.at === undefined ? undefined : parseEndOf(flags.at),
      tables: flags.table ?? [],
      missing: flags.missing || flags.all,
      changed: flags.changed || flags.all,
      where: flags.where,
      keys: flags.key ?? [],
      columns: flags.columns === undefined ? [] : flags.columns.split(',').map((name) => name.trim()),
      withParents: flags['with-parents'],
      withChildren: flags['with-children'],
      failOnConflicts: flags['fail-on-conflicts'],
      plan: flags.plan,
      details: flags.details,
    });
    return this.perform(
      flags,
      (context) =>
        restoreRows(context, sourceOf(flags), request, (id) => [this.config.bin, id, ...sameSettings(flags)]),
      showRestoredRows(repeat),
    );
  }
}
