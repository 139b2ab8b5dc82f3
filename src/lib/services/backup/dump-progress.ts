/** How far a running pg_dump is: by the tables it names and by the bytes it has written. */
import {readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {qualifiedName} from '../../base/qualified-name.js';
import type {TableSize} from '../../postgres/inspect/inspect-database.js';
import type {Step} from '../../progress/progress.js';

export interface DumpTracker {
  /** Takes the name that pg_dump prints when it begins a table. */
  readonly onTable: (name: string) => void;
  readonly stop: () => void;
}

const pollMs = 500;

/**
 * Shows progress in bytes of the expected dump. The tables named so far bound the share from below, so that the
 * display moves on even where the estimate is wrong.
 */
export function trackDump(
  step: Step,
  plan: {tables: readonly TableSize[]; outputPath: string; expectedBytes: number; isMeasured: boolean},
): DumpTracker {
  const sizes = new Map(plan.tables.map((table) => [qualifiedName(table), table.sizeBytes]));
  const total = plan.tables.reduce((sum, table) => sum + table.sizeBytes, 0);
  let current = '';
  let begun = 0;
  let finishedBytes = 0;
  const show = (): void => {
    const byTables = total === 0 ? 0 : (finishedBytes / total) * plan.expectedBytes;
    step.advance(Math.max(writtenBytes(plan.outputPath), byTables), plan.expectedBytes, 'bytes');
    const basis = plan.isMeasured ? '' : ', total estimated';
    if (current !== '') step.note(`${current} (${begun} of ${plan.tables.length} tables${basis})`);
  };
  const timer = setInterval(show, pollMs);
  return {
    onTable(name) {
      finishedBytes += sizes.get(current) ?? 0;
      current = name;
      begun += 1;
      show();
    },
    stop: () => clearInterval(timer),
  };
}

function writtenBytes(path: string): number {
  try {
    const status = statSync(path);
    if (!status.isDirectory()) return status.size;
    return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  } catch {
    return 0; // the file may vanish while a failed dump is cleared up
  }
}
