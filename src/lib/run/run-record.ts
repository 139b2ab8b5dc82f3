/** One line of the audit log: what a run did, to which database, and its outcome. */
import {z} from 'zod';
import {backupContents, outcomes, proofLevels} from './check-outcome.js';
import {dataCheckSchema} from './data-checks.js';
import {backupFormats} from '../base/formats.js';

const count = z.int().min(0);

const runDatabaseSchema = z.object({
  name: z.string(),
  /** The cluster's own number; null where it is unknown, for example without a connection. */
  systemIdentifier: z.string().nullable(),
  host: z.string(),
  port: z.int(),
  /** Reference of the Supabase project. */
  project: z.string().exactOptional(),
  /** Its name in "databases" of the config file, or "server/database". */
  source: z.string().exactOptional(),
});
export type RunDatabase = z.infer<typeof runDatabaseSchema>;

const runVerificationSchema = z.object({
  backupId: z.string(),
  level: z.enum(proofLevels),
  /** True only if `outcome` is "passed". */
  ok: z.boolean(),
  /** Missing in lines of 0.1.0. */
  outcome: z.enum(outcomes).exactOptional(),
  /** Duration of the check, ms. */
  duration: count,
  /** Duration of the restore in a restore test, ms: the measured recovery time. */
  restoreDuration: count.nullable(),
  /** Results of the data checks; missing if none ran. They affect `outcome`. */
  checks: z.array(dataCheckSchema).exactOptional(),
});
export type RunVerification = z.infer<typeof runVerificationSchema>;

const setAsideEventSchema = z.object({
  /** "made" when the run set the database aside; "gone" when it dropped or brought it back. */
  event: z.enum(['made', 'gone']),
  name: z.string(),
  /** The database that it was before. */
  database: z.string(),
  host: z.string(),
  port: z.int(),
  /** When it was set aside. */
  at: z.iso.datetime(),
  owner: z.string().nullable(),
  /** Bytes; null where the role could not read the size. */
  size: count.nullable(),
});
export type SetAsideEvent = z.infer<typeof setAsideEventSchema>;

const maskedSchema = z.object({
  columns: count,
  /** Masked rows of all tables. */
  rows: count,
  /** Comparisons of the masked database with the values before. */
  checks: count,
  /** Those that found a value of the backup. */
  failed: count,
});

/**
 * The identity of a database. The host is null for one known only from the old scripts' backups or by name.
 * Many Supabase projects share one pooler, each with a database "postgres".
 */
const watchedDatabaseSchema = runDatabaseSchema.extend({
  host: z.string().nullable(),
  port: z.int().nullable(),
});
export type WatchedDatabase = z.infer<typeof watchedDatabaseSchema>;

/** The part of the record that a service supplies during the run. */
const factsShape = {
  /** A preview or dry run changed nothing. */
  mode: z.enum(['execute', 'preview']),
  /** The database that was read or changed; null where the run concerned files only. */
  database: runDatabaseSchema.nullable(),
  backupId: z.string().nullable(),
  format: z.enum(backupFormats).nullable(),
  /** Whether the written backup contains definitions only; null where none was written, or in lines of older versions. */
  schemaOnly: z.boolean().nullable().default(null),
  /** The content of the backup that was written; null where none was written, or by a version that did not record it. */
  content: z.enum(backupContents).nullable().default(null),
  /** Bytes of the backup that was written or read. */
  size: count.nullable(),
  /** Bytes of the database on its server. */
  databaseSize: count.nullable(),
  /** Rows in the backup that was written or restored. */
  rows: count.nullable(),
  verifications: z.array(runVerificationSchema),
  /** Ids of the backups that retention removed. */
  pruned: z.array(z.string()),
  /** The label of the backup after `label`, and whether it is kept, in words; null in other runs. */
  labelled: z.string().nullable().default(null),
  /** Orders that were cleaned or restored. */
  orders: count.nullable(),
  deletedRows: count.nullable(),
  restoredRows: count.nullable(),
  /** Unaccepted findings of the shrink alarm, a line each. */
  alarms: z.array(z.string()),
  /** Databases that a restore set aside, dropped or brought back; empty in lines of older versions. */
  setAside: z.array(setAsideEventSchema).default([]),
  /** The masks of a refresh and their checks; null in other runs, and in lines of older versions. */
  masked: maskedSchema.nullable().default(null),
  /** Databases that are no longer watched until there is a new backup of them. */
  forgotten: z.array(watchedDatabaseSchema).default([]),
};

export const runRecordSchema = z.object({
  schemaVersion: z.literal(1),
  runId: z.uuid(),
  command: z.string(),
  toolVersion: z.string(),
  /** The operating system's user. */
  user: z.string(),
  /** The name of the machine that ran the command. */
  host: z.string(),
  startedAt: z.iso.datetime(),
  /** ms */
  duration: count,
  /** "alarm": the work was done, and its result needs attention (exit code 4 with a result). */
  outcome: z.enum(['ok', 'failed', 'interrupted', 'alarm']),
  exitCode: count,
  /** Whether the run counts as failed and is notified; missing in lines of older versions. */
  incident: z.boolean().exactOptional(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  ...factsShape,
  /** Databases of a server in the config file that had a backup and no longer exist. */
  gone: z.array(watchedDatabaseSchema).exactOptional(),
  warnings: z.array(z.string()),
  /** How many entries of each list were left out to keep the line within its limit. */
  omitted: z.record(z.string(), count).exactOptional(),
});
export type RunRecord = z.infer<typeof runRecordSchema>;

/** Exit code in the record of a run that was killed (128 + SIGKILL); such a run cannot record its own. */
export const exitCodeOfKilled = 137;

/** Whether the run counts as failed. A refusal or a usage error at a terminal does not. */
export function isIncident({incident, outcome}: Pick<RunRecord, 'incident' | 'outcome'>): boolean {
  return incident ?? outcome !== 'ok';
}

export type RunFacts = Partial<Pick<RunRecord, keyof typeof factsShape>> & Pick<RunRecord, 'gone'>;
/** Every fact has a value; only databases that are gone are left out where there are none. */
export type KnownFacts = Required<Omit<RunFacts, 'gone'>> & Pick<RunFacts, 'gone'>;

export const noFacts: KnownFacts = {
  mode: 'execute',
  database: null,
  backupId: null,
  format: null,
  schemaOnly: null,
  content: null,
  size: null,
  databaseSize: null,
  rows: null,
  verifications: [],
  pruned: [],
  labelled: null,
  orders: null,
  deletedRows: null,
  restoredRows: null,
  alarms: [],
  setAside: [],
  masked: null,
  forgotten: [],
};

/** Later facts replace single values and are appended to lists. */
export function addFacts(facts: KnownFacts, more: RunFacts): KnownFacts {
  return {
    ...facts,
    ...more,
    verifications: [...facts.verifications, ...(more.verifications ?? [])],
    pruned: [...facts.pruned, ...(more.pruned ?? [])],
    alarms: [...facts.alarms, ...(more.alarms ?? [])],
    setAside: [...facts.setAside, ...(more.setAside ?? [])],
    forgotten: [...facts.forgotten, ...(more.forgotten ?? [])],
  };
}
