/** Checks whether a server's disk has room for a write: rows, indexes, WAL and temporary files. */
import {stat, statfs} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import type {RestoredSize} from '../../catalog/restored-size.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {formatBytes} from '../../base/format.js';
import type {Session} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {jsonText, parseOnlyRow, pgCount} from '../../postgres/inspect/inspect-database.js';
import type {RunContext} from '../../run/run-context.js';

export interface DiskNeed {
  /** The operation that needs it, as the beginning of a sentence: `Restoring "shop-2026"`. */
  readonly what: string;
  readonly size: RestoredSize;
  /** Whether the rows use the tablespaces of the session's database, in the same shares; otherwise the server's default. */
  readonly isLikeCurrent: boolean;
  readonly hint: string;
  /** If the disk cannot be inspected, smaller needs are not worth a warning, bytes. */
  readonly warnsFrom?: number;
}

const settingsRow = z.object({
  data_directory: z.string().nullable(),
  wal_limit: pgCount,
  shares: jsonText(z.array(z.object({location: z.string(), pages: z.number()}))),
});

// The tablespaces of the session's database; an empty location is the data directory itself (manual, pg_tablespace_location).
const settingsQuery = `
  SELECT (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory') AS data_directory,
         (SELECT pg_catalog.max(s.setting::bigint) * 1024 * 1024 FROM pg_catalog.pg_settings s
           WHERE s.name IN ('max_wal_size', 'wal_keep_size')) AS wal_limit,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('location', p.location, 'pages', p.pages)), '[]')
            FROM (SELECT pg_catalog.pg_tablespace_location(CASE c.reltablespace WHEN 0 THEN d.dattablespace ELSE c.reltablespace END) AS location,
                         pg_catalog.sum(c.relpages) AS pages
                    FROM pg_catalog.pg_class c CROSS JOIN pg_catalog.pg_database d
                   WHERE d.datname = pg_catalog.current_database() AND c.relpages > 0 AND NOT c.relisshared
                   GROUP BY 1) p) AS shares`;

/** Two WAL segments of the usual size, for writes during the check. */
const marginBytes = 32 * 2 ** 20;

interface Part {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/**
 * Refuses a write that does not fit, and warns if the disk cannot be inspected: it is on another machine, or the role may not read the
 * server's data_directory. The need is the rows and indexes, the same amount of WAL (at most what the server keeps between two
 * checkpoints, max_wal_size), the sorted keys of the largest index build, and a margin.
 * @throws DISK_FULL
 */
export async function requireServerDisk(
  context: RunContext,
  session: Session,
  connection: Connection,
  need: DiskNeed,
): Promise<void> {
  const row = parseOnlyRow(settingsRow, await session.query(settingsQuery));
  const directory = isThisMachine(connection) ? row.data_directory : null;
  const parts = partsOf(need, row, directory ?? '');
  const disks = directory === null ? null : await groupByDisk(parts, directory);
  if (disks === null) {
    const total = sumOf(parts);
    if (total < (need.warnsFrom ?? 0)) return;
    context.warn(
      `${need.what} needs about ${describe(parts)} on the server's disk, whose free space is not visible from here.`,
    );
    return;
  }
  for (const {path, freeBytes, parts: together} of disks) {
    if (freeBytes >= sumOf(together)) continue;
    throw new AppError(
      'DISK_FULL',
      `${need.what} needs about ${describe(together)} on the server's disk at ${path}, which has ${formatBytes(freeBytes)} free. Nothing was changed.`,
      {hint: need.hint},
    );
  }
}

function isThisMachine({host, sshTunnel}: Connection): boolean {
  if (sshTunnel) return false; // "localhost" is the SSH server
  return host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host);
}

function partsOf(
  {size, isLikeCurrent}: DiskNeed,
  row: z.infer<typeof settingsRow>,
  directory: string,
): Part[] {
  const shares = isLikeCurrent && row.shares.length > 0 ? row.shares : [{location: '', pages: 1}];
  const pages = shares.reduce((sum, share) => sum + share.pages, 0);
  const [main] = [...shares].sort((a, b) => b.pages - a.pages);
  const sorted = Math.round(size.largestTableBytes === null ? size.bytes / 10 : size.largestTableBytes / 2);
  return [
    ...shares.map((share) => ({
      name: 'rows and indexes',
      path: share.location === '' ? directory : share.location,
      bytes: Math.round((size.bytes * share.pages) / pages),
    })),
    {name: 'WAL', path: join(directory, 'pg_wal'), bytes: Math.min(size.bytes, row.wal_limit)},
    {
      name: 'temporary files',
      path: main === undefined || main.location === '' ? directory : main.location,
      bytes: sorted,
    },
    {name: 'a margin', path: directory, bytes: marginBytes},
  ];
}

interface Disk {
  readonly path: string;
  readonly freeBytes: number;
  readonly parts: Part[];
}

/** Groups the parts by file system; null if the data directory cannot be inspected. */
async function groupByDisk(parts: readonly Part[], directory: string): Promise<Disk[] | null> {
  const disks = new Map<number, Disk>();
  for (const part of parts) {
    // Only the server's account may read below the data directory; a folder in it is on the same disk unless it is a link.
    const seen = (await inspectPath(part.path)) ?? (await inspectPath(directory));
    if (!seen) return null;
    const disk = disks.get(seen.device) ?? {path: seen.path, freeBytes: seen.freeBytes, parts: []};
    disk.parts.push(part);
    disks.set(seen.device, disk);
  }
  return [...disks.values()];
}

async function inspectPath(
  path: string,
): Promise<{path: string; device: number; freeBytes: number} | undefined> {
  try {
    const [{dev}, {bavail, bsize}] = await Promise.all([stat(path), statfs(path)]);
    return {path, device: dev, freeBytes: bavail * bsize};
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // the server runs in a container, or this user may not read its folder
  }
}

function sumOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.bytes, 0);
}

/** "200 MB (100 MB rows and indexes, 90 MB WAL, 10 MB temporary files)" */
function describe(parts: readonly Part[]): string {
  const names = [...new Set(parts.map(({name}) => name))];
  const listed = names.map((name) => {
    const bytes = sumOf(parts.filter((part) => part.name === name));
    return `${formatBytes(bytes)} ${name}`;
  });
  return `${formatBytes(sumOf(parts))} (${listed.join(', ')})`;
}
