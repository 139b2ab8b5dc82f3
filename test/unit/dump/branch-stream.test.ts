import {buffer} from 'node:stream/consumers';
import {describe, expect, it} from 'vitest';
import {branchStream} from '../../../src/lib/dump/branch-stream.js';

/** Pieces of 100 KB; counts how many were read. */
function pieces(count: number) {
  let taken = 0;
  async function* source(): AsyncGenerator<Buffer> {
    for (; taken < count; taken += 1) yield await Promise.resolve(Buffer.alloc(100_000, taken));
  }
  return {source: source(), taken: () => taken};
}

describe('a stream with two readers', () => {
  it('gives both every byte', async () => {
    const {main, branch} = branchStream(pieces(60).source);
    const [first, second] = await Promise.all([buffer(main), buffer(branch)]);
    expect(first.length).toBe(6_000_000);
    expect(second.equals(first)).toBe(true);
  });

  it('waits for the slower one, so that little is buffered', async () => {
    const {source, taken} = pieces(60);
    const {main, branch} = branchStream(source);
    const reading = buffer(main);
    await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 1000; turn += 1) await Promise.resolve();
    expect(taken()).toBeLessThan(30);
    await buffer(branch);
    expect((await reading).length).toBe(6_000_000);
  });

  it('continues when the second one stops', async () => {
    const {main, branch} = branchStream(pieces(60).source);
    const leaving = (async () => {
      for await (const piece of branch as AsyncIterable<Buffer>) if (piece.length > 0) break;
    })();
    expect((await buffer(main)).length).toBe(6_000_000);
    await leaving;
  });

  it('fails for the second one when the first one stops or the source fails', async () => {
    const stopped = branchStream(pieces(60).source);
    const reading = buffer(stopped.branch);
    for await (const piece of stopped.main) if (piece.length > 0) break;
    await expect(reading).rejects.toThrow('was not read to its end');

    const failed = branchStream(
      (async function* () {
        yield await Promise.resolve(Buffer.from('x'));
        throw new Error('the disk is gone');
      })(),
    );
    const other = buffer(failed.branch);
    await expect(buffer(failed.main)).rejects.toThrow('the disk is gone');
    await expect(other).rejects.toThrow('was not read to its end');
  });
});
