/** How to restore a backup: commands that can be pasted, the careful ones first. */
import {shellCommand} from '../../base/shell-quote.js';
import {type Backup, isGood} from '../../catalog/catalogue.js';
import {standingOfRecord} from '../../catalog/backup-record.js';
import {databaseNameWith} from '../../postgres/databases/owner-comment.js';

export interface RestoreCommand {
  readonly purpose: string;
  readonly command: string;
}

/**
 * None for a backup that a restore would refuse, but the check that may clear it.
 * @param from the location, where that is not the backups folder
 * @param command program, id and the flags that name the same settings
 */
export function restoreCommands(
  backup: Backup,
  from: string | undefined,
  command: (id: string) => readonly string[],
): RestoreCommand[] {
  const {record, content, database} = backup;
  const key = keyWords(backup);
  const words = (id: string, ...more: string[]): string => {
    const [bin = '', name = '', ...settings] = command(id);
    const place = from === undefined ? [] : ['--from', from];
    return shellCommand([bin, name, backup.id, ...place, ...settings, ...more, ...key]);
  };
  if (!isGood(backup)) return [{purpose: 'check it again', command: words('verify', '--level', 'archive')}];
  const isProven = record !== null && standingOfRecord(record).proof?.level === 'restore';
  const proof = isProven
    ? []
    : [{purpose: 'verify it by a restore', command: words('verify', '--level', 'restore')}];
  const aside = {
    purpose: 'into a new database',
    command: words('restore', '--target-db', databaseNameWith(database, '_copy'), '--create-db'),
  };
  const rows = {
    purpose: 'single rows of a table that lives on',
    command: words('restore:rows', '--table', exampleTable(backup), '--missing'),
  };
  if (content === 'data')
    return [{purpose: 'into empty tables that exist', command: words('restore', '--data-only', '--dry-run')}];
  if (content !== 'whole') return [aside, ...(content === 'schema' ? [] : [rows])];
  const over = (...more: string[]): string => words('restore', '--drop-existing', ...more);
  return [
    ...proof,
    aside,
    {purpose: 'over the database: what would be lost', command: over('--dry-run')},
    {purpose: 'over the database, which is kept aside', command: over()},
    rows,
  ];
}

/** A table of the backup with rows. */
function exampleTable({record}: Backup): string {
  const tables = record?.tables ?? [];
  const table = tables.find(({rows}) => rows !== 0) ?? tables[0];
  return table ? `${table.schema}.${table.name}` : 'public.TABLE';
}

/** The flag for the key of an encrypted backup, with a placeholder. */
function keyWords({record}: Backup): string[] {
  if (!record?.encryption) return [];
  return record.encryption.recipients.length > 0
    ? ['--identity', 'KEY.txt']
    : ['--passphrase-file', 'PASSPHRASE.txt'];
}
