/** destino-db verify */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {proofLevels} from '../lib/run/check-outcome.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  confirmFlags,
  countFlag,
  placeFlags,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {showVerified} from '../lib/cli/show/show-verified.js';
import {AppError} from '../lib/base/errors.js';
import {exitCodeOfResults, verifyBackups, type VerifyResult} from '../lib/services/verify/verify.js';

const chooses = ['backup-file', 'latest', 'all', 'sample'];
const others = (name: string): string[] => chooses.filter((other) => other !== name);

export default class Verify extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'prove a backup: its bytes, its content, or by a restore';
  static override description =
    'checksum: every file has the size and SHA-256 that were written. archive: and the dump can be read to its end, with the\n' +
    'rows and fingerprints of its metadata. restore: and a scratch database restored from it is equal to it, table by table,\n' +
    'with valid indexes and constraints, its sequences, views and extensions; the scratch database is dropped again.\n' +
    'passed: the backup is what was dumped. failed: its bytes, rows or objects are not. not-possible: the server, the role, the\n' +
    'disk or the content of the backup did not allow the check, which says nothing about the backup.\n' +
    'Code in the backup runs as a role without rights; where that is not possible, a superuser has to confirm (--yes, --confirm-db).\n' +
    'The outcome goes into the metadata, where list, status and prune look; a failure stands until the same or a stronger level passes.\n' +
    'Exit codes: 0 passed, 2 usage, 3 not possible here, 4 failed, 5 not confirmed, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> verify --latest',
    '<%= config.bin %> verify --latest --level restore',
    '<%= config.bin %> verify --sample 2 --level restore --scratch local',
    '<%= config.bin %> verify --from s3://bucket/db --level restore --identity key.txt',
  ];
  static override flags = {
    'backup-file': Flags.string({
      helpGroup: 'SOURCE',
      helpValue: 'PATH',
      summary: 'A dump, its metadata file, or an id as list shows it.',
      exclusive: others('backup-file'),
    }),
    latest: Flags.boolean({
      helpGroup: 'SOURCE',
      summary: 'The newest good backup (the default).',
      exclusive: others('latest'),
    }),
    all: Flags.boolean({
      helpGroup: 'SOURCE',
      summary: 'Every backup; goes on after one that fails.',
      exclusive: others('all'),
    }),
    sample: {
      ...countFlag('N good backups chosen at random.', {helpGroup: 'SOURCE', min: 1}),
      exclusive: others('sample'),
    },
    ...placeFlags,
    level: Flags.option({options: proofLevels})({
      helpGroup: 'PROOF',
      default: 'archive',
      summary: 'How far to prove (archive).',
    }),
    scratch: Flags.option({options: ['same', 'local'] as const})({
      helpGroup: 'PROOF',
      summary:
        'Where to restore: the server of the database URL (same), or a throw-away server on this machine (local).',
      exclusive: ['scratch-url'],
    }),
    'scratch-url': Flags.string({
      helpGroup: 'PROOF',
      helpValue: 'URL',
      summary: 'Another server to restore on; its database is only connected to.',
    }),
    ...waitFlag,
    ...confirmFlags,
  };

  async run(): Promise<VerifyResult> {
    const {flags} = await this.parse(Verify);
    const url = flags['scratch-url'];
    if (flags.level !== 'restore' && (url !== undefined || flags.scratch !== undefined)) {
      const name = url === undefined ? '--scratch' : '--scratch-url';
      throw new AppError('USAGE', `${name} needs --level restore: no other level restores anything.`);
    }
    return this.perform(
      flags,
      (context) =>
        verifyBackups(
          context,
          sourceOf(flags),
          defined({
            backupFile: flags['backup-file'],
            isAll: flags.all,
            sample: flags.sample,
            level: flags.level,
            waitMs: flags.wait === undefined ? undefined : waitMsOf(flags),
            scratch: url === undefined ? {kind: flags.scratch ?? 'same'} : {kind: 'url', url},
          }),
        ),
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
