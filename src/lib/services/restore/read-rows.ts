/** Streams the rows of chosen tables out of a backup. */
import {selectEntries} from '../../dump/archive-list.js';
import {openPlainDump} from '../../dump/open-plain-dump.js';
import {CopyStream} from '../../dump/sql/copy-stream.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import {listArchive, streamArchive} from '../../postgres/tools/pg-restore.js';
import type {NamedTable} from '../../postgres/quote.js';
import type {RowTakerOf} from '../../postgres/take-rows.js';
import {type VerifiedSource, readingOptions} from './source.js';

export interface RowReading {
  readonly source: Pick<VerifiedSource, 'dump' | 'encoding'> & {readonly tables: readonly NamedTable[]};
  /** Null for a plain dump. */
  readonly pgRestore: Tool | null;
  /** The tables to read; pg_restore unpacks no others from an archive. */
  readonly tables: readonly NamedTable[];
  readonly takerOf: RowTakerOf;
  /** Called after each piece. */
  readonly drain: () => Promise<void>;
  readonly signal: AbortSignal;
}

/** @throws VERIFY_FAILED if the dump ends too early, UNSAFE_DUMP, PG_RESTORE_FAILED, and the errors of the callbacks */
export async function readTableRows(reading: RowReading): Promise<void> {
  const {source, pgRestore, signal} = reading;
  const rows = new CopyStream(false, reading.takerOf);
  const read = async (sql: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of sql) {
      signal.throwIfAborted();
      rows.write(chunk);
      await reading.drain();
    }
    rows.end();
  };
  if (!pgRestore) return read(openPlainDump(source.dump));
  const lines = await listArchive(pgRestore, source.dump, source.encoding, signal);
  const {entries} = selectEntries(lines, {...source, isSuperuser: true, onlyTables: reading.tables});
  await streamArchive(pgRestore, source.dump, {...readingOptions, dataOnly: true}, read, signal, entries);
}
