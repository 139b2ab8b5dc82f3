/** Decodes names in a dump from the encoding that the dump sets. */

// All server encodings contain ASCII. Node.js does not support EUC_TW and MULE_INTERNAL.
const decoderNames: readonly (readonly [RegExp, string])[] = [
  [/^LATIN1$/, 'latin1'],
  [/^LATIN([2-4])$/, 'iso-8859-$1'],
  [/^LATIN5$/, 'iso-8859-9'],
  [/^LATIN6$/, 'iso-8859-10'],
  [/^LATIN7$/, 'iso-8859-13'],
  [/^LATIN8$/, 'iso-8859-14'],
  [/^LATIN9$/, 'iso-8859-15'],
  [/^ISO_8859_(\d+)$/, 'iso-8859-$1'],
  [/^WIN866$/, 'ibm866'],
  [/^WIN(\d+)$/, 'windows-$1'],
  [/^KOI8([RU])$/, 'koi8-$1'],
  [/^EUC_(JP|KR)$/, 'euc-$1'],
  [/^EUC_JIS_2004$/, 'euc-jp'],
  [/^EUC_CN$/, 'gb18030'],
];

/** ISO 8859-16 from 0xA0 on, which Node.js does not support. */
const latin10 =
  '\u00a0ĄąŁ€„Š§š©Ș«Ź\u00adźŻ°±ČłŽ”¶·žčș»ŒœŸżÀÁÂĂÄĆÆÇÈÉÊËÌÍÎÏĐŃÒÓÔŐÖŚŰÙÚÛÜĘȚßàáâăäćæçèéêëìíîïđńòóôőöśűùúûüęțÿ';

/** @param latin1 the bytes as characters @param encoding PostgreSQL's name of the encoding (manual, 24.3.1) */
export function textOf(latin1: string, encoding: string): string {
  if (/^[\u0000-\u007f]*$/.test(latin1)) return latin1;
  if (encoding === 'LATIN10')
    return latin1.replace(/[\u00a0-\u00ff]/g, (byte) => latin10.charAt(byte.charCodeAt(0) - 0xa0));
  const bytes = Buffer.from(latin1, 'latin1');
  const found = decoderNames.find(([pattern]) => pattern.test(encoding));
  if (!found) return bytes.toString('utf8');
  const name = encoding.replace(found[0], found[1]);
  return name === 'latin1' ? latin1 : new TextDecoder(name).decode(bytes);
}
