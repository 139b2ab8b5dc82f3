/** One line of the audit log: what a run did, to which database, and how it ended. */
import {z} from 'zod';
import {outcomes, proofLevels} from './check-outcome.js';
import {backupFormats} from '../base/formats.js';

const count = z.int().min(0);

const runDatabaseSchema = z.object({
  name: z.string(),
  /** The cluster's own number; null where it is unknown, as in runs that never got a connection. */
  systemIdentifier: z.string().nullable(),
  host: z.string(),
  port: z.int(),
  /** Reference of the Supabase project. */
  project: z.string().optional(),
});
export type RunDatabase = z.infer<typeof runDatabaseSchema>;

const runVerificationSchema = z.object({
  backupId: z.string(),
  level: z.enum(proofLevels),
  /** True for an outcome of "passed" alone. */
  ok: z.boolean(),
  /** Missing in lines of 0.1.0. */
  outcome: z.enum(outcomes).optional(),
  /** Duration of the proof, ms. */
  duration: count,
  /** Duration of the restore in a proof by restore, ms: the measured time a recovery takes. */
  restoreDuration: count.nullable(),
});
export type RunVerification = z.infer<typeof runVerificationSchema>;

const setAsideEventSchema = z.object({
  /** What the run did: set the database aside, or dropped it or brought it back, so that it is gone under this name. */
  event: z.enum(['made', 'gone']),
  name: z.string(),
  /** The database in whose place it stood. */
  database: z.string(),
  host: z.string(),
  port: z.int(),
  /** When it was set aside. */
  at: z.iso.datetime(),
  owner: z.string().nullable(),
  /** Bytes; null where the role could not see it. */
  size: count.nullable(),
});
export type SetAsideEvent = z.infer<typeof setAsideEventSchema>;

/**
 * A database as it is told apart from others. The host is null for one that only the old scripts backed up, or that is known by name
 * alone. Many Supabase projects stand behind one pooler, each with a database "postgres".
 */
const watchedDatabaseSchema = runDatabaseSchema.extend({
  host: z.string().nullable(),
  port: z.int().nullable(),
});
export type WatchedDatabase = z.infer<typeof watchedDatabaseSchema>;

/** What a run tells of itself while it works: the part of the record that only the service knows. */
const factsShape = {
  /** A preview or dry run changed nothing. */
  mode: z.enum(['execute', 'preview']),
  /** The database that was read or changed; null where the run was about files alone. */
  database: runDatabaseSchema.nullable(),
  backupId: z.string().nullable(),
  format: z.enum(backupFormats).nullable(),
  /** Whether the backup that was written holds definitions alone; null where none was written, or by a version that did not tell. */
  schemaOnly: z.boolean().nullable().default(null),
  /** Bytes of the backup that was written or read. */
  size: count.nullable(),
  /** Bytes of the database on its server. */
  databaseSize: count.nullable(),
  /** Rows in the backup that was written or restored. */
  rows: count.nullable(),
  verifications: z.array(runVerificationSchema),
  /** Ids of the backups that retention removed. */
  pruned: z.array(z.string()),
  /** Orders that were cleaned or put back. */
  orders: count.nullable(),
  deletedRows: count.nullable(),
  restoredRows: count.nullable(),
  /** What the shrink alarm found and nobody accepted, a line each. */
  alarms: z.array(z.string()),
  /** Databases that a restore set aside, and what became of them; none in runs of a version that did not record it. */
  setAside: z.array(setAsideEventSchema).default([]),
  /** Databases that are watched no longer, until there is a new backup of them. */
  forgotten: z.array(watchedDatabaseSchema).default([]),
};

export const runRecordSchema = z.object({
  schemaVersion: z.literal(1),
  runId: z.uuid(),
  command: z.string(),
  toolVersion: z.string(),
  /** Who: the operating system's user. */
  user: z.string(),
  /** Where: the name of the machine that ran the command. */
  host: z.string(),
  startedAt: z.iso.datetime(),
  /** ms */
  duration: count,
  /** "alarm": the work was done, and what it found needs somebody (exit code 4 with a result). */
  outcome: z.enum(['ok', 'failed', 'interrupted', 'alarm']),
  exitCode: count,
  /** Whether it counts as a failed run and somebody is notified; missing in lines of versions that did not decide it. */
  incident: z.boolean().optional(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  ...factsShape,
  warnings: z.array(z.string()),
  /** How many entries of a list were left out to keep the line within its bound. */
  omitted: z.record(z.string(), count).optional(),
});
export type RunRecord = z.infer<typeof runRecordSchema>;

/** Whether the run ended otherwise than well and counts as failed. A refusal or a typing error at a terminal does not. */
export function isIncident({incident, outcome}: Pick<RunRecord, 'incident' | 'outcome'>): boolean {
  return incident ?? outcome !== 'ok';
}

export type RunFacts = Partial<Pick<RunRecord, keyof typeof factsShape>>;

export const noFacts: Required<RunFacts> = {
  mode: 'execute',
  database: null,
  backupId: null,
  format: null,
  schemaOnly: null,
  size: null,
  databaseSize: null,
  rows: null,
  verifications: [],
  pruned: [],
  orders: null,
  deletedRows: null,
  restoredRows: null,
  alarms: [],
  setAside: [],
  forgotten: [],
};

/** Facts told later replace single values and add to lists. */
export function addFacts(facts: Required<RunFacts>, more: RunFacts): Required<RunFacts> {
  const told = Object.fromEntries(
    Object.entries(more).filter(([, value]) => (value as unknown) !== undefined),
  );
  return {
    ...facts,
    ...told,
    verifications: [...facts.verifications, ...(more.verifications ?? [])],
    pruned: [...facts.pruned, ...(more.pruned ?? [])],
    alarms: [...facts.alarms, ...(more.alarms ?? [])],
    setAside: [...facts.setAside, ...(more.setAside ?? [])],
    forgotten: [...facts.forgotten, ...(more.forgotten ?? [])],
  };
}
