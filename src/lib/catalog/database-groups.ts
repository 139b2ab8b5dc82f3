/** Groups backups and runs by database. */
import type {Backup} from './catalogue.js';
import type {RunRecord, WatchedDatabase} from '../run/run-record.js';

export interface DatabaseGroup {
  readonly database: WatchedDatabase;
  /** Name in the config file if it has one, else its own; with host and port if two databases share it, and the cluster's number if they share these too. */
  readonly label: string;
  /** Newest first. */
  readonly backups: readonly Backup[];
  /** Newest last. */
  readonly runs: readonly RunRecord[];
}

export interface GroupSources {
  readonly backups: readonly Backup[];
  /** Newest last. */
  readonly runs: readonly RunRecord[];
  /** Databases in the config and the plan. */
  readonly named?: readonly WatchedDatabase[];
  /** Databases that the current run forgets. */
  readonly forgetting?: Pick<RunRecord, 'startedAt' | 'forgotten'>;
  /** The name that "databases" of the config file gives a database. */
  readonly sourceOf?: SourceOf;
}

export type SourceOf = (database: WatchedDatabase) => string | undefined;

interface OpenGroup {
  readonly identities: WatchedDatabase[];
  readonly backups: Backup[];
  readonly runs: RunRecord[];
}

/**
 * The databases to watch with their backups and runs, sorted by label: databases that have or had a backup, unless they were
 * forgotten since, and those of `named`. A failed run does not add a database, because its URL may be mistyped, unless `sourceOf` still
 * gives it the name in the run.
 * The cluster's number decides if both sides have it, else host and port. A backup of the old scripts has only a
 * name and joins the database of that name. A run of `verify` without a database belongs to the database of its backup.
 */
export function groupByDatabase({
  backups,
  runs,
  named = [],
  forgetting,
  sourceOf = () => undefined,
}: GroupSources): DatabaseGroup[] {
  const groups: OpenGroup[] = [];
  const find = (identity: WatchedDatabase): OpenGroup | undefined =>
    groups.find(({identities}) => identities.some((known) => isSame(known, identity)));
  const findOrAdd = (identity: WatchedDatabase): OpenGroup => {
    const group = find(identity) ?? {identities: [], backups: [], runs: []};
    if (!groups.includes(group)) groups.push(group);
    // Every address of a database is kept: another run may have only one of them.
    if (!group.identities.some((known) => isEqual(known, identity))) group.identities.push(identity);
    return group;
  };

  const ofBackup = new Map<string, OpenGroup>();
  const own = backups.filter(({record}) => record !== null);
  for (const backup of own) ofBackup.set(backup.id, findOrAdd(identityOf(backup)));
  for (const {database, backupId} of runs.filter(madeBackup)) {
    const group = database && findOrAdd(database);
    if (group && backupId !== null) ofBackup.set(backupId, group);
  }
  for (const {database} of runs.filter(isBackupRun)) {
    // A server of the config file has reported that the database exists.
    const isListed = database?.source !== undefined && sourceOf(database) === database.source;
    if (database && (isListed || find(database))) findOrAdd(database);
  }
  for (const backup of backups) findOrAdd(identityOf(backup)).backups.push(backup);
  const wanted = new Set<OpenGroup>();
  for (const database of named) {
    // Of several databases in the config file two may have the same name, on two servers.
    const alike =
      database.source === undefined
        ? groups.filter(({identities}) => identities.some((known) => mayBe(database, known)))
        : [find(database)].filter((known) => known !== undefined);
    const group = find(database) ?? (alike.length === 1 ? alike[0] : undefined);
    // If the settings lead to another host now, earlier runs still belong to the database.
    if (group && database.host !== null) group.identities.push(database);
    for (const one of group ? [group] : alike) wanted.add(one);
    if (alike.length === 0) wanted.add(findOrAdd(database));
  }
  for (const run of runs) {
    // The target of a restore test is not watched.
    const tested = run.backupId ?? run.verifications[0]?.backupId ?? '';
    (run.database ? find(run.database) : ofBackup.get(tested))?.runs.push(run);
  }
  const forgetful = forgetting ? [...runs, forgetting] : runs;
  const watched = groups.filter((group) => wanted.has(group) || !isForgotten(group, forgetful));
  const labels = watched.map((group) => labelsOf(describe(group)));
  return watched
    .map((group) => {
      const database = describe(group);
      const source = group.identities.map(sourceOf).find((name) => name !== undefined);
      const label =
        source ??
        labelsOf(database).find(
          (text, detail) => labels.filter((others) => others[detail] === text).length === 1,
        );
      return {database, label: label ?? database.name, backups: group.backups, runs: group.runs};
    })
    .sort((a, b) => (a.label < b.label ? -1 : 1));
}

/** Whether the user removed the database from the watch list, and no backup of it was made since. */
function isForgotten(
  {identities, backups, runs}: OpenGroup,
  forgetful: readonly Pick<RunRecord, 'startedAt' | 'forgotten'>[],
): boolean {
  const last = forgetful.findLast(({forgotten}) =>
    forgotten.some((database) => identities.some((known) => isSame(known, database))),
  );
  if (!last) return false;
  const at = Date.parse(last.startedAt);
  return (
    backups.every(({createdAt}) => createdAt.getTime() <= at) &&
    runs.every((run) => !madeBackup(run) || Date.parse(run.startedAt) <= at)
  );
}

/** A database known only by name. */
export function databaseNamed(name: string): WatchedDatabase {
  return {name, systemIdentifier: null, host: null, port: null};
}

/** Labels from short to unambiguous. */
function labelsOf({name, host, port, project, systemIdentifier}: WatchedDatabase): string[] {
  const address = `${name}@${project ?? `${host ?? '?'}:${port ?? '?'}`}`;
  return [name, address, `${address} (cluster ${systemIdentifier ?? '?'})`];
}

/** Whether a run tried to make a backup. */
export function isBackupRun(run: RunRecord): boolean {
  return run.command === 'backup' && run.mode === 'execute';
}

function madeBackup(run: RunRecord): boolean {
  return isBackupRun(run) && run.backupId !== null;
}

/**
 * Whether a backup belongs to a database of these backups and runs, or of the config or plan. Without any of them every
 * database qualifies.
 */
export function isOfKnownDatabase(
  backup: Backup,
  backups: readonly Backup[],
  runs: readonly RunRecord[],
  named: readonly WatchedDatabase[] = [],
): boolean {
  const known = [
    ...backups.map(identityOf),
    ...runs.filter(madeBackup).flatMap(({database}) => (database ? [database] : [])),
  ];
  if (known.length + named.length === 0) return true;
  const identity = identityOf(backup);
  return known.some((one) => isSame(one, identity)) || named.some((one) => mayBe(one, identity));
}

/** The database of a backup, as its metadata names it. */
export function identityOf({record, database}: Backup): WatchedDatabase {
  if (!record) return {name: database, systemIdentifier: null, host: null, port: null};
  const {systemIdentifier, host, port, project} = record.source;
  return {name: database, systemIdentifier, host, port, ...(project === undefined ? {} : {project})};
}

/** Whether both are the same database, as far as is known. */
function isSame(a: WatchedDatabase, b: WatchedDatabase): boolean {
  if (a.source !== undefined && a.source === b.source) return true;
  if (a.name !== b.name) return false;
  if (a.systemIdentifier !== null && b.systemIdentifier !== null) {
    return a.systemIdentifier === b.systemIdentifier;
  }
  if (a.project !== undefined && b.project !== undefined) return a.project === b.project;
  return a.host === null || b.host === null || (a.host === b.host && a.port === b.port);
}

/** Whether a database of the config or plan may be this one; hosts may differ, because a host has several names. */
function mayBe(named: WatchedDatabase, {name, project}: WatchedDatabase): boolean {
  return (
    named.name === name && (named.project === undefined || project === undefined || named.project === project)
  );
}

function isEqual(a: WatchedDatabase, b: WatchedDatabase): boolean {
  return (
    a.systemIdentifier === b.systemIdentifier &&
    a.host === b.host &&
    a.port === b.port &&
    a.project === b.project &&
    a.source === b.source
  );
}

/** The group's identity, from its most complete member. */
function describe({identities}: OpenGroup): WatchedDatabase {
  const best =
    identities.find(({systemIdentifier}) => systemIdentifier !== null) ??
    identities.find(({host}) => host !== null) ??
    identities[0];
  return best ?? databaseNamed('');
}
