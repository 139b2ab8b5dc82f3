/** The story of `status`: reads the folder, the audit log and the free space, and judges them by the limits. */
import {join} from 'node:path';
import {readCatalogue} from '../backups/catalogue.js';
import type {ProofLevel} from '../backups/backup-record.js';
import {freeBytesAt} from '../backups/disk-space.js';
import {parseDuration} from '../parse-duration.js';
import type {RunContext} from '../run-context.js';
import {readHistory} from '../watch/read-history.js';
import {assessStatus, type Status, type StatusLimits} from '../watch/status.js';

export interface StatusRequest {
  /** "26h"; the config's or 26 hours without it, so that a daily backup may take two. */
  readonly maxAge?: string | undefined;
  readonly require?: ProofLevel | undefined;
  readonly maxRestoreTestAge?: string | undefined;
  /** Only databases of these names. */
  readonly databases?: readonly string[] | undefined;
}

export interface StatusResult extends Status {
  readonly folder: string;
  readonly checkedAt: string;
  readonly limits: StatusLimits;
}

const defaultMaxAge = '26h';
