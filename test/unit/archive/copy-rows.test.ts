import {expect, it} from 'vitest';
import {readCopyRows} from '../../../src/lib/archive/copy-rows.js';

async function rowsOf(sql: string, size: number): Promise<string[]> {
  const bytes = Buffer.from(sql);
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size)
      yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  const rows: string[] = [];
  await readCopyRows(pieces(), ({schema, name, columns}, row) => {
    rows.push(`${schema}.${name}(${columns.join()}): ${row.toString()}`);
    return undefined;
  });
  return rows;
}

it('takes for rows what follows a COPY statement alone', async () => {
  const looks = 'COPY public.other (a) FROM stdin;\n';
  const sql = [
    `CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $$\n${looks}$$;`,
    `COMMENT ON TABLE public.t IS '\n${looks}';`,
    'COPY public.t ("a\nb", c) FROM stdin;', '1\t2', looks.trim(), '\\.', '',
    'COPY public.u (a) FROM stdin;', '\\.', `INSERT INTO public.v VALUES ('${'x'.repeat(3 << 20)}\n${looks}');`,
    'COPY public.w (a) FROM stdin;', '3', '\\.', '',
  ].join('\n'); // prettier-ignore
  for (const size of [5, 1 << 16, sql.length]) {
    expect(await rowsOf(sql, size)).toEqual([
      'public.t(a\nb,c): 1\t2',
      `public.t(a\nb,c): ${looks.trim()}`,
      'public.w(a): 3',
    ]);
  }
});
