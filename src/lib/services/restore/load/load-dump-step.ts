/** The step that loads a dump, with its progress. */
import {formats} from '../../../base/formats.js';
import type {RunContext} from '../../../run/run-context.js';
import {type DumpLoad, loadDump, type LoadOutcome} from './load-dump.js';
import {sizeOf} from '../../../base/checksum.js';

/** Runs `loadDump` as a step. @throws as `loadDump` does */
export async function loadInto(context: RunContext, load: DumpLoad): Promise<LoadOutcome> {
  return context.progress.step(`Restore into ${load.target.database}`, async (step) => {
    const {format, path, remote} = load.dump;
    const fileBytes = formats[format].isArchive ? 0 : (remote?.sizeBytes ?? (await sizeOf(path)));
    const tables = load.onlyTables.length > 0 ? load.onlyTables.length : load.tables.length;
    return loadDump(load, context, (done, unit, table) => {
      if (unit === 'bytes') step.advance(done, fileBytes, 'bytes');
      else step.advance(Math.min(done, tables), tables, 'tables');
      if (table !== undefined) step.note(table);
    });
  });
}
