/** Creates jobs of pg_cron through its functions, because only the service may write to its table. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgBoolean} from '../../../postgres/inspect/inspect-database.js';

/** Whether this is the table of pg_cron's jobs. */
export function isJobTable({schema, name}: {readonly schema: string; readonly name: string}): boolean {
  return schema === 'cron' && name === 'job';
}

export interface ScheduledJobs {
  readonly added: number;
  /** Reasons why other jobs were not created, a line each. */
  readonly refused: readonly string[];
}

const jobRow = z.object({
  name: z.string().nullable(),
  schedule: z.string(),
  command: z.string(),
  database: z.string(),
  username: z.string(),
  active: pgBoolean,
  is_own: pgBoolean,
});

const jobFunctions = [
  'cron.schedule(text,text)',
  'cron.schedule(text,text,text)',
  'cron.schedule_in_database(text,text,text,text,text,boolean)',
];

/**
 * Existing jobs are not changed; they are recognised by name, or by schedule and command without a name. Needs an open transaction.
 * @param temporary table with the backup's rows, in pg_temp
 * @param source name of the dumped database, whose jobs become jobs of the session's database
 */
export async function scheduleJobs(
  session: Session,
  temporary: string,
  source: string | undefined,
): Promise<ScheduledJobs> {
  // Another user's function of that name must not run with this role's rights.
  const [own] = await session.query(
    `SELECT count(*) AS functions FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE e.extname = 'pg_cron' AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.objid::pg_catalog.regprocedure::text = ANY ($1::text[])`,
    [jobFunctions],
  );
  if (Number(own?.['functions'] ?? 0) < jobFunctions.length)
    return {
      added: 0,
      refused: ['jobs of pg_cron were not created: it is not installed here, or older than 1.4'],
    };
  const jobs = parseRows(
    jobRow,
    await session.query(
      `SELECT t.jobname AS name, t.schedule, t.command, t.username, t.active, t.username = current_user AS is_own,
              CASE WHEN t.database = $1 THEN pg_catalog.current_database()::text ELSE t.database END AS database
         FROM pg_temp.${temporary} t
        WHERE NOT EXISTS (SELECT FROM cron.job j WHERE CASE WHEN t.jobname IS NULL
                THEN j.jobname IS NULL AND j.schedule = t.schedule AND j.command = t.command ELSE j.jobname = t.jobname END)
        ORDER BY t.jobid`,
      [source ?? null],
    ),
  );
  const [here] = await session.query('SELECT pg_catalog.current_database() AS database');
  let added = 0;
  const refused: string[] = [];
  for (const job of jobs) {
    const isPlain = job.active && job.is_own && job.database === here?.['database'];
    await session.query('SAVEPOINT job');
    try {
      if (!isPlain)
        await session.query(
          `SELECT cron.schedule_in_database($1::text, $2::text, $3::text, $4::text, $5::text, $6::boolean)`,
          [job.name, job.schedule, job.command, job.database, job.is_own ? null : job.username, job.active],
        );
      else if (job.name === null)
        await session.query('SELECT cron.schedule($1::text, $2::text)', [job.schedule, job.command]);
      else
        await session.query('SELECT cron.schedule($1::text, $2::text, $3::text)', [
          job.name,
          job.schedule,
          job.command,
        ]);
      added += 1;
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'CONNECTION_LOST') throw error;
      await session.query('ROLLBACK TO SAVEPOINT job');
      refused.push(`the job "${job.name ?? job.command}" of pg_cron was not created: ${error.message}`);
    }
    await session.query('RELEASE SAVEPOINT job');
  }
  return {added, refused};
}
