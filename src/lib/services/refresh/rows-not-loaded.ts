/** The rows of a backup that a masked copy does not need, so that they are not restored at all. */
import {qualifiedName} from '../../base/qualified-name.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {Entry} from '../../dump/left-out-entries.js';
import {type Dependencies, qualifiedNames} from '../../dump/select-tables.js';
import {readDumpedTables} from '../../masks/dumped-columns.js';
import {maskRules} from '../../masks/mask-rules.js';
import {columnNameParts} from '../../settings/column-name.js';
import type {Config} from '../../settings/config-schema.js';

/**
 * Rows of tables that get none, unless a table that keeps its rows refers to them, which the masks refuse by name. Materialized views over
 * foreign tables, because the server would fill them with rows of another server that no mask covers.
 * @param dependencies called only if the backup has foreign tables
 * @returns whether rows ("TABLE DATA", "MATERIALIZED VIEW DATA") are not restored
 */
export async function rowsNotLoaded(
  definitions: readonly DumpDefinition[],
  {masks, subset = {}}: Config,
  dependencies: () => Promise<Dependencies>,
): Promise<(entry: Entry) => boolean> {
  const {topOf} = readDumpedTables(definitions);
  const wanted = new Set([
    ...maskRules(masks).emptied.map(({table}) => qualifiedName(table)),
    ...Object.entries(subset).flatMap(([name, rule]) =>
      rule === 'none' ? [(columnNameParts(name) ?? []).join('.')] : [],
    ),
  ]);
  const topName = (table: string): string => qualifiedName(topOf(table));
  const keys = definitions.flatMap(({type, statements}) => {
    const names = type === 'FK CONSTRAINT' ? qualifiedNames(statements.join('\n')).map(qualifiedName) : [];
    const [from, to] = [names[0], names.at(-1)];
    return from === undefined || to === undefined ? [] : [{from: topName(from), to: topName(to)}];
  });
  for (let before = -1; before !== wanted.size;) {
    before = wanted.size;
    for (const {from, to} of keys) if (!wanted.has(from)) wanted.delete(to);
  }
  const views = await viewsOverForeign(definitions, dependencies);
  return ({type, schema, name}) => {
    const table = qualifiedName({schema, name});
    return type === 'TABLE DATA'
      ? wanted.has(topName(table))
      : type === 'MATERIALIZED VIEW DATA' && views.has(table);
  };
}

/** Materialized views that read foreign tables, directly or through other views. */
async function viewsOverForeign(
  definitions: readonly DumpDefinition[],
  dependencies: () => Promise<Dependencies>,
): Promise<ReadonlySet<string>> {
  const foreign = definitions.flatMap(({type}, index) => (type === 'FOREIGN TABLE' ? [index] : []));
  const isView = definitions.some(({type}) => type === 'MATERIALIZED VIEW');
  if (foreign.length === 0 || !isView) return new Set();
  const needs = await dependencies();
  const reached = new Set(foreign);
  for (let before = -1; before !== reached.size;) {
    before = reached.size;
    for (const [index, needed] of needs) if (needed.some((one) => reached.has(one))) reached.add(index);
  }
  return new Set(
    definitions.flatMap((one, index) =>
      one.type === 'MATERIALIZED VIEW' && reached.has(index) ? [qualifiedName(one)] : [],
    ),
  );
}
