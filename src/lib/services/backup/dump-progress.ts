/** The progress of a running pg_dump, estimated from the tables it names and the bytes it has written. */
import {readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {countOf, formatBytes} from '../../base/format.js';
import {qualifiedName} from '../../base/qualified-name.js';
import type {TableSize} from '../../postgres/inspect/inspect-database.js';
import type {Step} from '../../progress/progress.js';
import type {VerifiedDump} from './result.js';

export interface DumpTracker {
  /** Receives the name that pg_dump prints when it starts a table. */
  readonly onTable: (name: string) => void;
  readonly stop: () => void;
}

const pollMs = 500;

/** Shows progress in bytes written. */
export function trackDump(
  step: Step,
  plan: {
    tables: readonly TableSize[];
    outputPath: string;
    expectedBytes: number;
    isMeasured: boolean;
    parallelJobs: number;
  },
): DumpTracker {
  const share = createDumpShare(plan);
  let begun = 0;
  const show = (): void => {
    const written = writtenBytes(plan.outputPath);
    const done = share.at(written);
    step.advance(written, done > 0 ? written / done : undefined, 'bytes');
  };
  const timer = setInterval(show, pollMs);
  return {
    onTable(name) {
      begun += 1;
      share.begin(name, writtenBytes(plan.outputPath));
      step.working(`${name} (${begun} of ${plan.tables.length} tables)`);
      show();
    },
    stop: () => clearInterval(timer),
  };
}

/** Below this share of the tables' bytes, the expected size is more accurate than the bytes written. */
const leastMeasured = 0.05;

/**
 * The finished share of a dump, from the sizes of the tables that were read, which correct the expected size. If the expected size comes
 * from an earlier backup, which shows how well the tables compress, the mean of both is more accurate.
 */
export function createDumpShare(plan: {
  readonly tables: readonly Pick<TableSize, 'schema' | 'name' | 'sizeBytes'>[];
  readonly expectedBytes: number;
  /** Whether the expected size comes from an earlier backup of this database. */
  readonly isMeasured: boolean;
  readonly parallelJobs: number;
}): {begin: (table: string, written: number) => void; at: (written: number) => number} {
  const sizes = new Map(plan.tables.map((table) => [qualifiedName(table), table.sizeBytes]));
  const total = plan.tables.reduce((sum, table) => sum + table.sizeBytes, 0);
  const expectedRatio = total === 0 ? 1 : plan.expectedBytes / total;
  const running: string[] = [];
  let finished = 0;
  let writtenThen = 0;
  let furthest = 0;
  const sizeOf = (table: string): number => sizes.get(table) ?? 0;
  return {
    begin(table, written) {
      running.push(table);
      if (running.length <= plan.parallelJobs) return;
      finished += sizeOf(running.shift() ?? '');
      writtenThen = written;
    },
    at(written) {
      const ofExpected = Math.min(1, written / Math.max(1, plan.expectedBytes));
      if (total === 0) return ofExpected;
      const inWork = running.reduce((sum, table) => sum + sizeOf(table), 0);
      // Tables that run beside each other have begun to write before the last one finished.
      const isAlone = plan.parallelJobs === 1;
      const measured = isAlone && finished / total >= leastMeasured ? writtenThen / finished : 0;
      const ratio = measured || expectedRatio;
      const read = isAlone ? finished + (written - writtenThen) / ratio : written / ratio;
      const bounded = Math.min(Math.max(read, finished), finished + inWork);
      const ofTables = bounded / total;
      furthest = Math.max(furthest, plan.isMeasured ? (ofTables + ofExpected) / 2 : ofTables);
      return furthest;
    },
  };
}

/** "3 tables, 891,894 rows, 92.6 MB"; without rows where nobody has read them. */
export function describeDump(tables: number, verified: VerifiedDump | undefined, bytes: number): string {
  const rows = verified ? [countOf(rowsRead(verified), 'row')] : [];
  return [countOf(tables, 'table'), ...rows, formatBytes(bytes)].join(', ');
}

export function rowsRead({contents}: VerifiedDump): number {
  return contents.tables.reduce((sum, {rows}) => sum + rows, 0);
}

function writtenBytes(path: string): number {
  try {
    const status = statSync(path);
    if (!status.isDirectory()) return status.size;
    return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  } catch {
    return 0; // the file may vanish while a failed dump is removed
  }
}
