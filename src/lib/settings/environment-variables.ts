/** The environment variables that the program reads, for help and documentation; a test compares them with the code. */

interface VariableGroup {
  readonly names: readonly string[];
  /** A phrase; `code` and [links](page.md) are taken out for help. */
  readonly meaning: string;
}

export const environmentVariables: readonly VariableGroup[] = [
  {
    names: ['DIRECT_URL', 'DATABASE_URL'],
    meaning: 'connection URL of the database, as Prisma and Supabase write it',
  },
  {
    names: ['PGHOST', 'PGPORT', 'PGUSER', 'PGDATABASE', 'PGSERVICE'],
    meaning: 'the database where neither URL is set, as libpq takes them',
  },
  {
    names: ['PGSERVICEFILE', 'PGSYSCONFDIR'],
    meaning: 'file of services, and folder of the system-wide one (`~/.pg_service.conf` by default)',
  },
  {
    names: ['PGPASSWORD', 'PGPASSFILE'],
    meaning:
      'password, or file of passwords (`~/.pgpass` by default, ignored unless its mode is 0600), where the URL has none',
  },
  {
    names: [
      'PGHOSTADDR',
      'PGSSLMODE',
      'PGSSLROOTCERT',
      'PGSSLCERT',
      'PGSSLKEY',
      'PGSSLCRL',
      'PGSSLMINPROTOCOLVERSION',
      'PGSSLNEGOTIATION',
      'PGSSLSNI',
      'PGGSSENCMODE',
      'PGKRBSRVNAME',
      'PGCHANNELBINDING',
      'PGREQUIREAUTH',
      'PGTARGETSESSIONATTRS',
      'PGCONNECT_TIMEOUT',
      'PGOPTIONS',
    ],
    meaning: 'options of the connection that the URL does not set, as libpq takes them',
  },
  {
    names: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE'],
    meaning: 'credentials of the [bucket](s3-and-encryption.md)',
  },
  {
    names: ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL', 'AWS_CA_BUNDLE'],
    meaning:
      'like `storage.region`, `storage.endpoint` and `storage.caFile` of the config file, which win over these',
  },
  {names: ['DESTINO_DB_CONFIG'], meaning: 'config file, like `--config`'},
  {names: ['DESTINO_DB_BACKUPS_DIR'], meaning: 'folder of all backups, like `--backups-dir`'},
  {names: ['DESTINO_DB_PG_BIN'], meaning: 'folder of the client tools, like `--pg-bin`'},
  {names: ['DESTINO_DB_METRICS_FILE'], meaning: 'Prometheus textfile, like `--metrics-file`'},
  {
    names: ['DESTINO_DB_MASK_KEY'],
    meaning:
      'key of the masks of `refresh`, at least 16 bytes, so that every run masks alike (default: a new one each time)',
  },
  {
    names: ['GREENMASK_GLOBAL_SALT'],
    meaning: 'salt of greenmask, which [`maskProgram`](masks.md) passes on to it',
  },
  {names: ['NODE_ENV'], meaning: '`production` makes every target a production target'},
  {names: ['NO_COLOR'], meaning: 'no colours'},
  {names: ['FORCE_COLOR'], meaning: 'colours where the output is not a terminal; 0 for no colours'},
  {names: ['TERM', 'CI'], meaning: '`dumb`, or any value of `CI`: plain lines instead of a live list'},
  {names: ['DESTINO_DB_CONTENT_TYPE'], meaning: '`json` is the same as `--json` on every command'},
];

/** The table of docs/configuration.md. */
export function variableTable(): string {
  const rows = environmentVariables.map(
    ({names, meaning}) => `| ${names.map((name) => `\`${name}\``).join(', ')} | ${meaning} |`,
  );
  return ['| variable | meaning |', '| --- | --- |', ...rows].join('\n');
}
