/** The pages of `help TOPIC`, made of the tables that the program itself works by. */
import {errorCodeTable, exitStatusTable} from '../../base/errors.js';
import {type BackupFormat, backupExtension, backupFormats, formats} from '../../base/formats.js';
import type {StoreScheme} from '../../base/place-name.js';
import {configKeys} from '../../settings/config-reference.js';
import {environmentVariables} from '../../settings/environment-variables.js';
import {type HelpTopic, helpTopics} from './help-topics.js';
import {entries, entry, indented, paragraphs, type Section, sections} from './lay-out.js';

/** @param width columns of the terminal */
export function topicPage(topic: HelpTopic, bin: string, width: number): string {
  return sections([['', paragraphs(helpTopics[topic], width)], ...pages[topic](bin, width)]);
}

const pages: Readonly<Record<HelpTopic, (bin: string, width: number) => Section[]>> = {
  environment: (_, width) => [
    [
      '',
      paragraphs(
        'A flag wins over a variable, and a variable over the config file. Variables are read from the environment, then from .env.local and .env in the working directory, or from the file of --env-file.',
        width,
      ),
    ],
    [
      'VARIABLES',
      environmentVariables.flatMap(({names, meaning}) => [
        ...indented(paragraphs(names.join(', '), width - 2)),
        ...indented(indented(indented(paragraphs(plain(meaning), width - 6)))),
      ]),
    ],
  ],
  config: (bin, width) => [
    [
      '',
      paragraphs(
        `Settings come from, strongest first: flags, environment variables, the config file, defaults. The config file is destino-db.config.json in the working directory, or that of --config; "${bin} init" writes one, and "${bin} doctor" shows every setting with its source. All keys are optional. An unknown key is an error.`,
        width,
      ),
    ],
    [
      'KEYS',
      configKeys().flatMap(({key, kind, description}) => [
        ...indented(paragraphs(`${key} (${plain(kind)})`, width - 2)),
        ...indented(indented(paragraphs(description ?? '', width - 4))),
      ]),
    ],
  ],
  'exit-codes': (bin, width) => [
    [
      '',
      entries(
        exitStatusTable().map(({exitCode, meaning}) => [exitCode, plain(meaning)]),
        width,
      ),
    ],
    [
      '',
      paragraphs(
        `Some exit codes come with a result instead of an error: 4 of verify, status, schedule --check and of a backup that shrank, 3 of doctor, 1 of recover and restore --skip-errors. "status --nagios" has the exit codes of a Nagios plugin.\n\nEvery error also has a code in capital letters: ${bin} help errors`,
        width,
      ),
    ],
  ],
  errors: (bin, width) => [
    [
      '',
      paragraphs(
        `An error is printed on stderr as "Error CODE: message", with the next step behind "Next:". With --json it is one document on stdout: {"schemaVersion": 1, "error": {"code", "message", "hint", "exitCode", "details"}}. The code decides the exit code (${bin} help exit-codes).`,
        width,
      ),
    ],
    ...[...new Set(errorCodeTable().map(({exitCode}) => exitCode))].map((exitCode): Section => [
      `EXIT CODE ${exitCode}`,
      errorCodeTable()
        .filter((row) => row.exitCode === exitCode)
        .flatMap(({code, meaning}) => entry(code, meaning, width, codeColumn)),
    ]),
  ],
  formats: (bin, width) => [
    ...backupFormats.map((format): Section => [
      '',
      [`--format ${format}`, ...indented(paragraphs(formatText(format), width - 2))],
    ]),
    [
      '',
      paragraphs(
        `The default is custom; backup.format in the config file sets another one. Every restore is possible from each format: ${bin} restore --help`,
        width,
      ),
    ],
  ],
  places: (bin, width) => [
    [
      '',
      paragraphs(
        'The value of --from or --to, and each entry of storage.places in the config file, is one of these:',
        width,
      ),
    ],
    ['', entries([...Object.values(storeTexts), folderText], width)],
    [
      '',
      paragraphs(
        `Backups are written to the backups folder (./backups, --backups-dir) and copied to each --to, or to storage.places of the config file. --from takes a backup from another location. "${bin} copy" copies existing backups, and "${bin} list --places" prints where each backup is. The credentials of a bucket come from where the AWS tools look for them: ${bin} help environment`,
        width,
      ),
    ],
  ],
  output: (bin, width) => [
    [
      '',
      entries(
        [
          ['stdout', 'the result: text, or one JSON document with --json'],
          ['stderr', 'progress, warnings, questions and errors'],
        ],
        width,
      ),
    ],
    [
      'TEXT',
      entries(
        [
          ['on a terminal', 'live progress, then a summary that ends with the next commands'],
          ['elsewhere', 'plain lines with a UTC time, for cron and logs: no colours, no live progress'],
          ['--quiet', 'errors and alarms only: cron sends no mail about a run that succeeded'],
          ['--verbose', "messages of PostgreSQL's tools and causes of errors, too"],
          ['--no-color', 'no colours, as with the variable NO_COLOR'],
        ],
        width,
      ),
    ],
    [
      'JSON',
      paragraphs(
        `--json prints exactly one document on stdout, for errors too ("${bin} help errors"). It has "schemaVersion": 1. Fields may be added and are never removed. Sizes are in bytes, durations in milliseconds, times in ISO 8601 and UTC. TypeScript types of all documents come with the package.`,
        width - 2,
      ).map((line) => `  ${line}`),
    ],
    ['', paragraphs(`Example: ${bin} list --json | jq -r '.backups[0].path'`, width)],
  ],
  confirmation: (bin, width) => [
    [
      '',
      paragraphs(
        'A command that changes or removes something asks first, before any work begins. The question shows the host, the database and the plan, and is answered by the name of the database. Preview first: --dry-run changes nothing, and commands with --execute only preview without it.',
        width,
      ),
    ],
    [
      'FLAGS THAT ANSWER',
      entries(
        [
          ['--yes, -y', 'yes; not enough for production'],
          ['--confirm-db NAME', 'yes, if the target is the database NAME; for production too'],
          ['--plan HASH', 'with --execute: only what the preview with this plan showed'],
        ],
        width,
      ),
    ],
    [
      '',
      paragraphs(
        `A target is production if NODE_ENV is production or if production.hosts or production.databases of the config file name it. Without a terminal and without these flags a command refuses with exit code 5 (${bin} help exit-codes).`,
        width,
      ),
    ],
  ],
};

const codeColumn = 24;

const storeTexts: Readonly<Record<StoreScheme, readonly [string, string]>> = {
  s3: ['s3://bucket/prefix', 'a bucket of Amazon S3, or of a compatible store (storage.endpoint)'],
};
const folderText = ['folder', 'a path of this machine, such as a mounted disk'] as const;

/** The nature of each format; what it can do is read from the table. */
const formatTexts: Readonly<Record<BackupFormat, string>> = {
  custom: 'One compressed file.',
  sql: 'One text file of SQL statements.',
  directory: 'A folder with a file for each table.',
};

function formatText(format: BackupFormat): string {
  const {isArchive, canStream, takesJobs} = formats[format];
  const names = [...new Set([true, false].map((isCompressed) => backupExtension(format, isCompressed)))];
  return [
    formatTexts[format],
    `Its name ends in ${names.join(' or ')}.`,
    `${isArchive ? 'pg_restore' : 'psql'} restores it without this program, too.`,
    takesJobs ? 'Several tables are dumped at a time (--parallel-jobs).' : '',
    canStream
      ? 'It can be streamed to a bucket without a local copy (--no-local).'
      : 'It needs space on this machine.',
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

/** Without Markdown's own characters. */
function plain(text: string): string {
  return text.replace(/`([^`]*)`/g, '$1').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
}
