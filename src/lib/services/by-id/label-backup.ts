/** `label`: gives one backup a name, or keeps it from retention, by a change of its metadata. */
import {lockOfBackup, safetyLabel} from '../../catalog/catalogue.js';
import {recordBackup} from '../../catalog/record-backup.js';
import {whyNotOurs} from '../../catalog/remove-backup.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {asRecord, editMetadata} from '../../storage/edit-metadata.js';
import {metadataKeyOf} from '../../storage/place-catalogue.js';
import {type BackupRequest, findBackup} from './find-backup.js';

export interface LabelRequest extends BackupRequest {
  /** The new label, without the spaces around it; empty for none, undefined for the present one. */
  readonly text?: string;
  /** Whether retention leaves it alone; undefined for what is so. */
  readonly keep?: boolean;
  /** How long to wait for another run, ms; a moment without it. */
  readonly waitMs?: number;
}

export interface LabelState {
  readonly label: string | null;
  /** Whether prune never removes it. */
  readonly keep: boolean;
}

export interface LabelResult extends LabelState {
  readonly id: string;
  /** The folder or store. */
  readonly folder: string;
  readonly metadataPath: string;
  readonly database: string;
  readonly before: LabelState;
}

/**
 * Writes label and keep tag into the metadata.
 * @throws USAGE, GUARD for the label of safety backups, FOREIGN_FILE, BACKUP_NOT_FOUND, LOCKED, STORAGE_CONFLICT, FOLDER_NOT_WRITABLE, the codes
 * of the store
 */
export async function labelBackup(context: RunContext, request: LabelRequest): Promise<LabelResult> {
  const {text, keep} = request;
  if (text === undefined && keep === undefined)
    throw new AppError('USAGE', 'Nothing to change: neither a label nor --keep or --no-keep was given.', {
      hint: 'destino-db label ID TEXT, destino-db label ID --keep; an empty text removes the label.',
    });
  const {backup, place} = await findBackup(context, request);
  const {id, metadataPath, database} = backup;
  recordBackup(context, backup);
  if (!backup.record)
    throw new AppError(
      'USAGE',
      `${id} was made by the old scripts, whose metadata cannot take a label; nothing was changed.`,
    );
  const foreign = place.isOnThisMachine ? await whyNotOurs(backup) : undefined;
  if (foreign !== undefined)
    throw new AppError('FOREIGN_FILE', `${id} was left alone: ${foreign}; nothing was changed.`);
  const states: {before: LabelState; after: LabelState}[] = [];
  const change = (data: unknown, path: string): Record<string, unknown> | undefined => {
    const {keep: kept, ...record} = asRecord(data, path);
    const before = {label: typeof record['label'] === 'string' ? record['label'] : null, keep: kept === true};
    const after = {label: text === undefined ? before.label : text.trim() || null, keep: keep ?? before.keep};
    requireOtherThanSafety(id, before.label, after.label);
    states.push({before, after});
    const isSame = before.label === after.label && before.keep === after.keep;
    return isSame ? undefined : {...record, label: after.label, ...(after.keep ? {keep: true} : {})};
  };
  const {waitMs} = request;
  await context.progress.step(`Label ${id}`, () =>
    editMetadata(
      context,
      place,
      metadataKeyOf(backup),
      change,
      defined({command: 'label', waitMs, database: lockOfBackup(backup)}),
    ),
  );
  const [state] = states;
  if (!state)
    throw new AppError('BACKUP_NOT_FOUND', `${id} is not in ${place.url} any more: another run removed it.`, {
      hint: 'List the backups: destino-db list',
    });
  context.record({labelled: describe(state.after)});
  return {id, folder: place.url, metadataPath, database, ...state.after, before: state.before};
}

/** With the label `--latest` would take the backup for a safety copy, and without it no more. @throws GUARD */
function requireOtherThanSafety(id: string, before: string | null, after: string | null): void {
  if (before === after || (before !== safetyLabel && after !== safetyLabel)) return;
  throw new AppError(
    'GUARD',
    before === safetyLabel
      ? `${id} is the copy of what a restore replaced; its label stays "${safetyLabel}", so that --latest does not take it.`
      : `The label "${safetyLabel}" is that of copies of what a restore replaced, which --latest does not take; nothing was changed.`,
    {hint: before === safetyLabel ? `To keep it: destino-db label ${id} --keep` : 'Choose another label.'},
  );
}

function describe({label, keep}: LabelState): string {
  return `${label === null ? 'no label' : `label "${label}"`}${keep ? ', kept' : ''}`;
}
