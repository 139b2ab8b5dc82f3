/** The step that loads a dump, with its progress. */
import {countOf} from '../../../base/format.js';
import {formats} from '../../../base/formats.js';
import type {RunContext} from '../../../run/run-context.js';
import {type DumpLoad, ExtensionRefused, loadDump, type LoadOutcome, type LoadPart} from './load-dump.js';
import {sizeOf} from '../../../base/checksum.js';

/**
 * Runs `loadDump` as a step.
 * @param part see `loadDump`
 * @param without returns the load without one of the `doubtful` extensions, after the server refused it and everything was rolled back
 * @throws the errors of `loadDump`
 */
export async function loadInto(
  context: RunContext,
  load: DumpLoad,
  part: LoadPart = 'whole',
  without?: (extension: string) => Promise<DumpLoad>,
): Promise<LoadOutcome> {
  const title = part === 'rest' ? 'Build indexes and keys' : `Restore into ${load.target.database}`;
  return context.progress.step(title, async (step) => {
    const {format, path, remote} = load.dump;
    const fileBytes = formats[format].isArchive ? 0 : (remote?.sizeBytes ?? (await sizeOf(path)));
    const tables = load.onlyTables.length > 0 ? load.onlyTables.length : load.tables.length;
    const run = (chosen: DumpLoad): Promise<LoadOutcome> =>
      loadDump(
        chosen,
        context,
        (done, unit, table) => {
          if (unit === 'bytes') step.advance(done, fileBytes, 'bytes');
          else step.advance(Math.min(done, tables), tables, 'tables');
          if (table !== undefined) step.working(table);
        },
        part,
      ).catch(async (error: unknown) => {
        if (!(error instanceof ExtensionRefused) || !without) throw error;
        return run(await without(error.extension));
      });
    const outcome = await run(load);
    if (part !== 'rest') step.note(countOf(tables, 'table'));
    return outcome;
  });
}
