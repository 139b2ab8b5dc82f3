/** Notes in the audit log which backup a run is about. */
import type {RunContext} from '../run/run-context.js';
import type {Backup} from './catalogue.js';

/** The run belongs to the database of the backup. */
export function recordBackup({record}: Pick<RunContext, 'record'>, backup: Backup): void {
  record({backupId: backup.id, format: backup.format, size: backup.sizeBytes});
  if (!backup.record) return;
  const {systemIdentifier, host, port, project} = backup.record.source;
  record({
    database: {
      name: backup.database,
      systemIdentifier,
      host,
      port,
      ...(project === undefined ? {} : {project}),
    },
  });
}
