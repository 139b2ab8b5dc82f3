/** What is left out of a plain dump when it is restored. */
import type {DumpSection, PlainDumpRules} from '../archive/plain-dump-filter.js';
import type {DumpLoad} from './load-dump.js';

const dataTypes = new Set(['TABLE DATA', 'SEQUENCE SET', 'BLOBS', 'BLOB', 'BLOB METADATA']);

/** Rows, sequence values and large objects, with the latter's rights and comments. */
function isData(section: DumpSection): boolean {
  return dataTypes.has(section.type) || section.name.startsWith('LARGE OBJECT');
}

/** @param leftOut takes a line about each thing that every database has already */
export function restoreRules(
  load: Pick<DumpLoad, 'options' | 'onlyTables' | 'serverMajor' | 'isSuperuser'>,
  leftOut: Set<string>,
): PlainDumpRules {
  const {schemaOnly, dataOnly, isSingleTransaction} = load.options;
  let restrictKey: string | undefined;
  const wanted = new Set(load.onlyTables.map((table) => `${table.schema}.${table.name}`));
  return {
    keeps: (section: DumpSection) => {
      if (isData(section) ? schemaOnly : dataOnly) return false;
      if (wanted.size === 0) return true;
      return (
        ['TABLE', 'TABLE DATA'].includes(section.type) && wanted.has(`${section.schema}.${section.name}`)
      );
    },
    leavesOut: (line, section) => {
      // psql is restricted by a key of its own already, and would refuse a second one.
      if (section === null) restrictKey ??= /^\\restrict ([A-Za-z0-9]+)\r?$/.exec(line)?.[1];
      if (
        restrictKey !== undefined &&
        /^\\(?:un)?restrict ([A-Za-z0-9]+)\r?$/.exec(line)?.[1] === restrictKey
      )
        return true;
      // Large objects come in transactions of their own, which would end the one around everything.
      if (isSingleTransaction && section?.type.startsWith('BLOB') === true) {
        return line === 'BEGIN;' || line === 'COMMIT;';
      }
      if (line === 'SET transaction_timeout = 0;') return load.serverMajor < 17;
      const isEverywhere =
        line === 'CREATE SCHEMA public;' ||
        (!load.isSuperuser && /^COMMENT ON (?:EXTENSION plpgsql|SCHEMA public) IS '[^']*';$/.test(line));
      if (isEverywhere) leftOut.add(`left out, the target has its own: ${line}`);
      return isEverywhere;
    },
  };
}
