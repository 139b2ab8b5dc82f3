/** Errors of oclif's parser, in the words of this program. */
import {Parser} from '@oclif/core';
import {expect, it} from 'vitest';
import Backup from '../../../../src/commands/backup.js';
import Completion from '../../../../src/commands/completion.js';
import Prune from '../../../../src/commands/prune.js';
import Restore from '../../../../src/commands/restore.js';
import Verify from '../../../../src/commands/verify.js';
import {globalFlags} from '../../../../src/lib/cli/flags.js';
import {asAppError} from '../../../../src/lib/cli/show/show-error.js';
import {usageError} from '../../../../src/lib/cli/show/usage-error.js';

const commands = {backup: Backup, completion: Completion, prune: Prune, restore: Restore, verify: Verify};

it.each([
  ['prune', ['--all-of-them'], '--all-of-them needs --set-aside.'],
  ['prune', ['--from=s3://a/b', '--set-aside'], '--set-aside cannot be used with --from.'],
  ['prune', ['--keep-days=soon'], '--keep-days is "soon"; it takes an integer.'],
  ['prune', ['--keep-days=-1'], '--keep-days is "-1"; it takes an integer greater than or equal to 0.'],
  ['prune', ['--keep-days'], '--keep-days needs a value.'],
  ['prune', ['--keep-day=3'], 'prune has no flag --keep-day. Did you mean --keep-days?'],
  ['backup', ['--format=zip'], '--format is "zip"; it takes custom, sql, directory.'],
  ['completion', ['bas'], '"bas" is none of bash, zsh, fish.'],
  ['verify', ['--all', '--latest'], '--all cannot be used with --latest.'],
  ['backup', ['--', '--dry-run'], 'backup does not take "--dry-run".'],
  ['backup', ['shop', 'now'], 'backup does not take "shop" and "now".'],
  ['prune', ['keep-last'], 'prune does not take "keep-last". Did you mean --keep-last?'],
  ['backup', ['--verbose', '--quiet'], '--quiet cannot be used with --verbose.'],
] as const)('%s %j', async (id, argv, message) => {
  const {args, flags: own} = commands[id];
  const flags = {...globalFlags, ...own};
  const parsing = Parser.parse([...argv], {args, flags, strict: true} as Parameters<typeof Parser.parse>[1]);
  const error = await parsing.then(
    () => undefined,
    (thrown: unknown) => asAppError(thrown, {bin: 'destino-db', id, flags: Object.keys(flags)}),
  );
  expect(error).toMatchObject({code: 'USAGE', message, hint: `See the flags: destino-db help ${id}`});
});

it('leads to the page of the program where no command was typed', () => {
  const used = {bin: 'destino-db', id: 'overview', flags: ['config']};
  const error = new Error('Flag --config expects a value');
  expect(usageError(error, used)).toMatchObject({
    message: '--config needs a value.',
    hint: 'See the flags: destino-db --help',
  });
});
