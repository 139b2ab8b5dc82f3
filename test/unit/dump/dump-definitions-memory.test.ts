/** Memory for the definitions of a dump, which may have very many tables. */
import {Readable} from 'node:stream';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {expect, it} from 'vitest';
import {type DumpDefinition, readDefinitions} from '../../../src/lib/dump/dump-definitions.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const tables = 8_000;

function* schemaSql(): Generator<Buffer> {
  for (let number = 0; number < tables; number += 1) {
    const name = `a_table_with_a_longer_name_${number}`;
    yield Buffer.from(
      `--\n-- Name: ${name}; Type: TABLE; Schema: public; Owner: an_owner_with_a_longer_name\n--\n\n` +
        `CREATE TABLE public.${name} (\n    id bigint NOT NULL,\n    price numeric(10,2)\n);\n\n\n` +
        `ALTER TABLE public.${name} OWNER TO an_owner_with_a_longer_name;\n\n`,
    );
  }
}

it('keeps little more of a definition than its text', async () => {
  const before = heapBytes();
  const definitions = await readDefinitions(Readable.from(schemaSql()));
  const taken = heapBytes() - before;
  const text = ({name, statements, ownerStatement}: DumpDefinition): number =>
    [name, ...statements, ownerStatement ?? ''].join('').length;
  const least = definitions.reduce((sum, one) => sum + text(one), 0);
  expect(definitions).toHaveLength(tables);
  expect(taken / tables).toBeLessThan(least / tables + 450);
});
