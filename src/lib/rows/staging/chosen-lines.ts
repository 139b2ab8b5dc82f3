/** The lines of an order backup that are restored. */
import type {Session} from '../../postgres/client.js';
import {copyOut} from '../../postgres/copy-out.js';
import type {StagedTable} from './staged-table.js';

/** Asks the staged tables once; the answer takes one bit a line of the file. */
export async function chosenLines(
  session: Session,
  tables: readonly Pick<StagedTable, 'temp'>[],
): Promise<(line: number) => boolean> {
  let bits = new Uint8Array(1 << 10);
  const add = (line: number): void => {
    const at = Math.floor(line / 8);
    if (at >= bits.length) {
      const more = new Uint8Array(2 * at);
      more.set(bits);
      bits = more;
    }
    bits[at] = (bits[at] ?? 0) | (1 << (line % 8));
  };
  for (const {temp} of tables) {
    let line = 0;
    await copyOut(
      session,
      `COPY (SELECT s.line FROM ${temp} s WHERE s.reason IS NULL) TO STDOUT`,
      (chunk) => {
        for (const byte of chunk) {
          if (byte === newline) {
            add(line);
            line = 0;
          } else {
            line = 10 * line + (byte - zero);
          }
        }
      },
    );
  }
  return (line) => ((bits[Math.floor(line / 8)] ?? 0) & (1 << (line % 8))) !== 0;
}

const newline = 0x0a;
const zero = 0x30;
