/** The dump formats and the differences between them. */

interface DumpFormat {
  /** The value of pg_dump's --format. */
  readonly letter: string;
  /** Extension of the dump's name; gzip adds ".gz" to plain dumps. */
  readonly extension: string;
  /** Whether pg_restore reads it, rather than psql. */
  readonly isArchive: boolean;
  /** Whether pg_dump compresses its contents, by any method; gzip compresses a plain dump as a whole. */
  readonly compressesInside: boolean;
  /** Whether pg_restore can load it through several connections. */
  readonly loadsInParallel: boolean;
  readonly isFolder: boolean;
  /** Whether pg_dump and its readers can use a pipe. */
  readonly canStream: boolean;
  /** Whether pg_dump can write it through several connections. */
  readonly takesJobs: boolean;
  /** Whether this program can compress it instead of pg_dump. */
  readonly canRecompress: boolean;
  /** Default gzip level; undefined for pg_dump's own default, which leaves plain dumps uncompressed. */
  readonly gzipLevel: number | undefined;
}

export const formats = {
  custom: {
    letter: 'c',
    extension: '.dump',
    isArchive: true,
    compressesInside: true,
    loadsInParallel: true,
    isFolder: false,
    canStream: true,
    takesJobs: false,
    canRecompress: true,
    gzipLevel: undefined,
  },
  sql: {
    letter: 'p',
    extension: '.sql',
    isArchive: false,
    compressesInside: false,
    loadsInParallel: false,
    isFolder: false,
    canStream: true,
    takesJobs: false,
    canRecompress: true,
    gzipLevel: 6,
  },
  directory: {
    letter: 'd',
    extension: '.dir',
    isArchive: true,
    compressesInside: true,
    loadsInParallel: true,
    isFolder: true,
    canStream: false,
    takesJobs: true,
    canRecompress: false,
    // Measured: 40 % faster than level 6 for 5 % more bytes (docs/performance.md).
    gzipLevel: 4,
  },
} as const satisfies Readonly<Record<string, DumpFormat>>;

export type BackupFormat = keyof typeof formats;
export const backupFormats = Object.keys(formats) as readonly BackupFormat[];

/** Compression methods of pg_dump. */
export const compressMethods = ['gzip', 'lz4', 'zstd'] as const;
export type CompressMethod = (typeof compressMethods)[number];

/** ".dump", ".sql", ".sql.gz" or ".dir" */
export function backupExtension(format: BackupFormat, isCompressed: boolean): string {
  const {extension, compressesInside} = formats[format];
  return isCompressed && !compressesInside ? `${extension}.gz` : extension;
}

const extensions = backupFormats.flatMap((format) => [true, false].map((gz) => backupExtension(format, gz)));

/** The dump's name without its extension; undefined if the name has no extension of a dump. */
export function withoutExtension(name: string): string | undefined {
  const extension = extensions.find((end) => name.endsWith(end));
  return extension && name.slice(0, -extension.length);
}
