/** Names in a dump are in the encoding that the dump sets. */

// ASCII is the same in every encoding of a server.
const decoderNames: readonly (readonly [RegExp, string])[] = [
  [/^LATIN1$/, 'latin1'],
  [/^LATIN([2-4])$/, 'iso-8859-$1'],
  [/^LATIN9$/, 'iso-8859-15'],
  [/^LATIN10$/, 'iso-8859-16'],
  [/^ISO_8859_(\d+)$/, 'iso-8859-$1'],
  [/^WIN(\d+)$/, 'windows-$1'],
  [/^KOI8([RU])$/, 'koi8-$1'],
  [/^EUC_(JP|KR)$/, 'euc-$1'],
  [/^EUC_CN$/, 'gb18030'],
];

/** @param latin1 the bytes as characters @param encoding PostgreSQL's name of the encoding (manual, 24.3.1) */
export function textOf(latin1: string, encoding: string): string {
  if (/^[\u0000-\u007f]*$/.test(latin1)) return latin1;
  const bytes = Buffer.from(latin1, 'latin1');
  const found = decoderNames.find(([pattern]) => pattern.test(encoding));
  if (!found) return bytes.toString('utf8');
  const name = encoding.replace(found[0], found[1]);
  return name === 'latin1' ? latin1 : new TextDecoder(name).decode(bytes);
}
