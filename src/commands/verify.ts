/** destino-db verify */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {proofLevels} from '../lib/run/check-outcome.js';
import {BaseCommand, isOverSeveral} from '../lib/cli/base-command.js';
import {
  backupArgument,
  confirmFlags,
  countFlag,
  databaseFlags,
  groups,
  namedBackup,
  placeFlags,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import type {SeveralResult} from '../lib/cli/show/show-several.js';
import {severalVerified, showVerified} from '../lib/cli/show/show-verified.js';
import type {RunContext} from '../lib/run/run-context.js';
import {AppError} from '../lib/base/errors.js';
import {exitCodeOfResults, verifyBackups, type VerifyResult} from '../lib/services/verify/verify.js';

const chooses = ['backup-file', 'latest', 'all', 'sample'];
const ofBackups = [...chooses, 'from', 'level', 'scratch', 'scratch-url', 'wait'];
const others = (name: string): string[] => chooses.filter((other) => other !== name);

export default class Verify extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'check a backup: its bytes, its content, or by a restore';
  static override description =
    'Level checksum: every file has the size and SHA-256 that were written. Level archive: the dump can also be read to its end, with\n' +
    'the rows and fingerprints of its metadata. Level restore: a scratch database restored from it is also equal to it, table by\n' +
    'table, with its indexes, constraints, sequences, views and extensions. The scratch database is dropped again.\n\n' +
    'Outcome passed: the backup is what was dumped. Failed: its bytes, rows or objects are not. Not possible: the server, the role, the\n' +
    'disk or the content of the backup did not allow the check, which says nothing about the backup. The metadata records the outcome\n' +
    'for list, status and prune. A failure stands until the same or a stronger level passes.\n\n' +
    'Queries of verify.checks in the config file run in the restored database too. A failing one means that the data is not as it\n' +
    'should be: the backup remains usable. --checks-live runs them in the live database instead.\n\n' +
    'Code in the backup runs as a role without rights. Where that is not possible, a superuser has to confirm (--yes, --confirm-db).\n' +
    'Exit codes: 0 passed, 2 usage, 3 not possible here, 4 failed, 5 not confirmed, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> verify',
    '<%= config.bin %> verify latest --level restore',
    '<%= config.bin %> verify --all-databases --sample 2 --level restore --scratch local',
    '<%= config.bin %> verify --from s3://bucket/db --level restore --identity key.txt',
  ];
  static override args = backupArgument;
  static override flags = {
    ...databaseFlags,
    'backup-file': Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PATH',
      summary: 'Backup by ID, dump or metadata file.',
      exclusive: others('backup-file'),
    }),
    latest: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Newest usable backup (default: on).',
      exclusive: others('latest'),
    }),
    all: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Check every backup, also after one that fails.',
      exclusive: others('all'),
    }),
    sample: {
      ...countFlag('Number of usable backups to choose at random.', {helpGroup: groups.whichBackup, min: 1}),
      exclusive: others('sample'),
    },
    ...placeFlags,
    level: Flags.option({options: proofLevels})({
      helpGroup: groups.level,
      default: 'archive',
      summary: 'Level of the check (default: archive).',
    }),
    scratch: Flags.option({options: ['same', 'local'] as const})({
      helpGroup: groups.level,
      summary:
        'Server for the level restore: that of the database URL (same), or a throw-away one on this machine (default: same).',
      exclusive: ['scratch-url'],
    }),
    'scratch-url': Flags.string({
      helpGroup: groups.level,
      helpValue: 'URL',
      summary: 'URL of another server for the level restore; its database is connected to and not changed.',
    }),
    'checks-live': Flags.boolean({
      helpGroup: groups.level,
      summary: 'Run verify.checks of the config file read-only in the live database, and check no backup.',
      exclusive: ofBackups,
    }),
    ...waitFlag,
    ...confirmFlags,
  };

  async run(): Promise<VerifyResult | SeveralResult<VerifyResult>> {
    const {flags, args} = await this.parse(Verify);
    if (flags['checks-live'] && args.backup !== undefined)
      throw new AppError('USAGE', 'A backup and --checks-live exclude each other.');
    const backupFile = namedBackup(args.backup, flags, [...chooses, 'database', 'all-databases']);
    const url = flags['scratch-url'];
    if (flags.level !== 'restore' && (url !== undefined || flags.scratch !== undefined)) {
      const name = url === undefined ? '--scratch' : '--scratch-url';
      throw new AppError('USAGE', `${name} needs --level restore: no other level restores anything.`);
    }
    const work = async (context: RunContext): Promise<VerifyResult> => {
      if (flags['checks-live']) {
        const {checkLive} = await import('../lib/services/verify/check-live.js');
        return {results: [], live: await checkLive(context)};
      }
      return verifyBackups(
        context,
        sourceOf(flags),
        defined({
          backupFile,
          isAll: flags.all,
          sample: flags.sample,
          level: flags.level,
          waitMs: flags.wait === undefined ? undefined : waitMsOf(flags),
          scratch: url === undefined ? {kind: flags.scratch ?? 'same'} : {kind: 'url', url},
        }),
      );
    };
    if (isOverSeveral(flags))
      return this.performEach(flags, work, severalVerified, {
        exitCodeOf: exitCodeOfResults,
        isLookedUp: false,
      });
    return this.perform(
      flags,
      work,
      showVerified({
        place: [...sameSettings(flags), ...wordsOf('--from', flags.from)],
        keys: [
          ...wordsOf('--identity', flags.identity),
          ...wordsOf('--passphrase-file', flags['passphrase-file']),
        ],
      }),
      {exitCodeOf: exitCodeOfResults},
    );
  }
}

function wordsOf(flag: string, value: string | undefined): string[] {
  return value === undefined ? [] : [flag, value];
}
