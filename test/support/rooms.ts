/** The rooms of the source, and the allowed imports between them: docs/architecture.md shows them and the contract tests check them. */
import {dirname} from 'node:path';

/** From the outside to the inside; a room imports from those on the floors below its own. */
export const floors: readonly (readonly string[])[] = [
  ['commands'],
  ['cli'],
  ['services'],
  ['masks'],
  ['rows'],
  ['storage'],
  ['dump', 'encryption'],
  ['catalog', 'fingerprint'],
  ['run'],
  ['postgres'],
  ['progress', 'settings'],
  ['base'],
];

/** Allowed imports of a room on its own floor. */
export const withinRooms: Readonly<Record<string, readonly string[]>> = {
  cli: ['cli/show'],
  'cli/help': ['cli', 'cli/show'],
  'services/backup': ['services/copy', 'services/prune'],
  'services/by-id': ['services/guards'],
  'services/doctor': ['services/orders/rules', 'services/restore', 'services/schedule', 'services/status'],
  'services/init': ['services/schedule'],
  'services/orders/clean': ['services/orders/rules', 'services/copy', 'services/guards'],
  'services/orders/restore': ['services/orders/rules', 'services/guards'],
  'services/orders/workflow': [
    'services/backup',
    'services/copy',
    'services/orders/clean',
    'services/orders/restore',
  ],
  'services/prune': ['services/databases', 'services/guards'],
  'services/recover': ['services/orders/clean'],
  'services/refresh': ['services/orders/rules', 'services/restore', 'services/guards', 'services/prune'],
  'services/report': ['services/databases', 'services/schedule', 'services/status'],
  'services/restore': [
    'services/restore/compare',
    'services/restore/load',
    'services/backup',
    'services/guards',
  ],
  'services/restore/compare': ['services/restore/load'],
  'services/rows': ['services/orders/restore', 'services/restore', 'services/guards'],
  'services/schedule': ['services/databases'],
  'services/status': ['services/databases', 'services/schedule'],
  'services/verify': [
    'services/databases',
    'services/restore',
    'services/restore/compare',
    'services/restore/load',
    'services/guards',
  ],
  'rows/staging': ['rows/file', 'rows/model'],
  // Only this module knows the kinds of stores and opens them; they implement the interface.
  storage: ['storage/s3'],
  'storage/s3': ['storage'],
  dump: ['dump/compress', 'dump/sql'],
  'dump/compress': ['dump/sql'],
  postgres: ['postgres/connect'],
  'postgres/databases': ['postgres', 'postgres/connect', 'postgres/inspect'],
  'postgres/inspect': ['postgres'],
  'postgres/tools': ['postgres', 'postgres/connect'],
};

/** "commands", or the folder below src/lib: "services/orders/clean". @param path below src */
export function roomOf(path: string): string {
  return path.startsWith('commands/') ? 'commands' : dirname(path).replace(/^lib\/?/, '');
}
