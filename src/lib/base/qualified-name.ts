/** "schema.name" of a table, sequence or other object, for people, metadata and comparisons. SQL takes `quoteQualified`. */
export function qualifiedName({schema, name}: {readonly schema: string; readonly name: string}): string {
  return `${schema}.${name}`;
}

/** The same of an entry in a dump, where "-" or nothing stands for no schema. */
export function entryName({schema, name}: {readonly schema: string; readonly name: string}): string {
  return schema === '-' || schema === '' ? name : qualifiedName({schema, name});
}
