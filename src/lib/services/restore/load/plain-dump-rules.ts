/** Decides which statements of a dump are left out of a restore. */
import {qualifiedName} from '../../../base/qualified-name.js';
import {formats} from '../../../base/formats.js';
import type {DetectedDump} from '../../../dump/detect-format.js';
import {isDataSection, isStatistics} from '../../../dump/dump-definitions.js';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import type {LeftOutEntries} from '../../../dump/left-out-entries.js';
import type {DumpSection} from '../../../dump/plain-dump-filter.js';
import {listedName} from '../../../dump/select-tables.js';
import {textOf} from '../../../postgres/client-encoding.js';
import type {NamedTable} from '../../../postgres/quote.js';
import type {PgRestoreOptions} from '../../../postgres/tools/pg-restore.js';

/** The selection of a restore, and facts about the target. */
export interface RestoredParts {
  readonly dump: DetectedDump;
  readonly serverMajor: number;
  readonly isSuperuser: boolean;
  readonly options: PgRestoreOptions;
  /** Only these tables; everything if empty. */
  readonly onlyTables: readonly NamedTable[];
  /** Objects restored with these tables, as named by `listedName`; absent for rows alone. */
  readonly selected?: ReadonlySet<string>;
  /** Entries that are not restored. */
  readonly leftOut: LeftOutEntries;
}

/**
 * @param leftOut receives a line for each left out object that exists in every database
 * @returns a function for `DumpScriptRun.edit`
 */
export function restoreRules(
  load: RestoredParts,
  leftOut: Set<string>,
): (statement: DumpStatement) => string | null {
  const {schemaOnly, dataOnly, noOwner, noAcl} = load.options;
  const wanted = new Set(load.onlyTables.map(qualifiedName));
  const keeps = (section: DumpSection): boolean => {
    if (isStatistics(section)) return false;
    // For an archive, pg_restore has already left out the rest.
    if (formats[load.dump.format].isArchive) return true;
    if (isDataSection(section) ? schemaOnly : dataOnly) return false;
    if (noAcl && ['ACL', 'DEFAULT ACL'].includes(section.type)) return false;
    if (load.leftOut.why(section) !== undefined) return false;
    if (wanted.size === 0) return true;
    if (load.selected) return load.selected.has(listedName(section));
    return ['TABLE', 'TABLE DATA'].includes(section.type) && wanted.has(qualifiedName(section));
  };
  return ({sql, section, encoding}) => {
    if (section && !keeps(section)) return null;
    if (noOwner && /^ALTER [^'$]* OWNER TO [^;]*;$/s.test(sql)) return null;
    if (sql === 'SET transaction_timeout = 0;') return load.serverMajor < 17 ? null : sql;
    const isEverywhere =
      sql === 'CREATE SCHEMA public;' ||
      (!load.isSuperuser && /^COMMENT ON (?:EXTENSION plpgsql|SCHEMA public) IS '[^']*';$/.test(sql));
    if (isEverywhere) leftOut.add(`left out, because the target has its own: ${textOf(sql, encoding)}`);
    return isEverywhere ? null : sql;
  };
}
