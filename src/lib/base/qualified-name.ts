/** "schema.name" of a table, sequence or other object, for people, metadata and comparisons. SQL uses `quoteQualified`. */
export function qualifiedName({schema, name}: {readonly schema: string; readonly name: string}): string {
  return `${schema}.${name}`;
}

/** The same for an entry in a dump, which writes "-" or nothing for no schema. */
export function entryName({schema, name}: {readonly schema: string; readonly name: string}): string {
  return schema === '-' || schema === '' ? name : qualifiedName({schema, name});
}
