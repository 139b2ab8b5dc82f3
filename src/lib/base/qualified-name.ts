/** "schema.name" of a table, sequence or other object, for people, metadata and comparisons. SQL takes `quoteQualified`. */
export function qualifiedName({schema, name}: {readonly schema: string; readonly name: string}): string {
  return `${schema}.${name}`;
}
