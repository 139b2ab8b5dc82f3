/** Which backups and runs belong to the same database. */
import type {Backup} from '../backups/catalogue.js';
import type {RunRecord} from './run-record.js';

export interface WatchedDatabase {
  readonly name: string;
  /** null where no backup or run ever learned it. */
  readonly systemIdentifier: string | null;
  /** null for a database that only the old scripts backed up. */
  readonly host: string | null;
  readonly port: number | null;
  /** Reference of the Supabase project: many stand behind one pooler, each with a database "postgres". */
  readonly project?: string | undefined;
}

export interface DatabaseGroup {
  readonly database: WatchedDatabase;
  /** Name, with host and port where two databases share it, and the cluster's number where they share these too. */
  readonly label: string;
  /** Newest first. */
  readonly backups: readonly Backup[];
  /** Newest last. */
  readonly runs: readonly RunRecord[];
}

interface OpenGroup {
  readonly identities: WatchedDatabase[];
  readonly backups: Backup[];
  readonly runs: RunRecord[];
}

/**
 * Sorts backups and runs by database, in the order of the labels.
 * The cluster's number decides where both sides know it, else host and port; a backup of the old scripts tells its
 * name alone and joins the database of that name. A run of `verify` without a database belongs to that of its backup.
 */
export function groupByDatabase(backups: readonly Backup[], runs: readonly RunRecord[]): DatabaseGroup[] {
  const groups: OpenGroup[] = [];
  const find = (identity: WatchedDatabase): OpenGroup | undefined =>
    groups.find(({identities}) => identities.some((known) => isSame(known, identity)));
  const findOrAdd = (identity: WatchedDatabase): OpenGroup => {
    const group = find(identity) ?? {identities: [], backups: [], runs: []};
    if (!groups.includes(group)) groups.push(group);
    // Every way to the same database is remembered: another run may know only one of them.
    if (!group.identities.some((known) => isEqual(known, identity))) group.identities.push(identity);
    return group;
  };

  const ofBackup = new Map<string, OpenGroup>();
  const own = backups.filter(({record}) => record !== null);
  for (const backup of own) ofBackup.set(backup.id, findOrAdd(identityOf(backup)));
  for (const {database, backupId} of runs.filter(isBackupRun)) {
    const group = database && findOrAdd(database);
    if (group && backupId !== null) ofBackup.set(backupId, group);
  }
  for (const backup of backups) findOrAdd(identityOf(backup)).backups.push(backup);
  for (const run of runs) {
    // Only backups make a database one to watch; the target of a test restore is none.
    const tested = run.backupId ?? run.verifications[0]?.backupId ?? '';
    (run.database ? find(run.database) : ofBackup.get(tested))?.runs.push(run);
  }
  const labels = groups.map((group) => labelsOf(describe(group)));
  return groups
    .map((group) => {
      const database = describe(group);
      const label = labelsOf(database).find(
        (text, detail) => labels.filter((others) => others[detail] === text).length === 1,
      );
      return {database, label: label ?? database.name, backups: group.backups, runs: group.runs};
    })
    .sort((a, b) => (a.label < b.label ? -1 : 1));
}

/** From short to unmistakable. */
function labelsOf({name, host, port, project, systemIdentifier}: WatchedDatabase): string[] {
  const address = `${name}@${project ?? `${host ?? '?'}:${port ?? '?'}`}`;
  return [name, address, `${address} (cluster ${systemIdentifier ?? '?'})`];
}

/** A run that meant to make a backup, whether or not it did. */
export function isBackupRun(run: RunRecord): boolean {
  return run.command === 'backup' && run.mode === 'execute';
}

/** Whether a backup is one of a database that these backups and runs are of; without any of them every database is one. */
export function isOfKnownDatabase(
  backup: Backup,
  backups: readonly Backup[],
  runs: readonly RunRecord[],
): boolean {
  const known = [
    ...backups.map(identityOf),
    ...runs.filter(isBackupRun).flatMap(({database}) => (database ? [database] : [])),
  ];
  return known.length === 0 || known.some((identity) => isSame(identity, identityOf(backup)));
}

function identityOf({record, database}: Backup): WatchedDatabase {
  if (!record) return {name: database, systemIdentifier: null, host: null, port: null};
  const {systemIdentifier, host, port, project} = record.source;
  return {name: database, systemIdentifier, host, port, ...(project === undefined ? {} : {project})};
}

/** Whether both are the same database, as far as they tell. */
function isSame(a: WatchedDatabase, b: WatchedDatabase): boolean {
  if (a.name !== b.name) return false;
  if (a.systemIdentifier !== null && b.systemIdentifier !== null) {
    return a.systemIdentifier === b.systemIdentifier;
  }
  if (a.project !== undefined && b.project !== undefined) return a.project === b.project;
  return a.host === null || b.host === null || (a.host === b.host && a.port === b.port);
}

function isEqual(a: WatchedDatabase, b: WatchedDatabase): boolean {
  return (
    a.systemIdentifier === b.systemIdentifier &&
    a.host === b.host &&
    a.port === b.port &&
    a.project === b.project
  );
}

/** The group's identity, as the way that knows most tells it. */
function describe({identities}: OpenGroup): WatchedDatabase {
  const best =
    identities.find(({systemIdentifier}) => systemIdentifier !== null) ??
    identities.find(({host}) => host !== null) ??
    identities[0];
  return best ?? {name: '', systemIdentifier: null, host: null, port: null};
}
