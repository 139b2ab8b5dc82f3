/** A set of row hashes in little memory. */

/** Share of the slots that may be taken. */
const fullest = 0.8;

/**
 * Keeps 63 bits of each hash in 10 bytes or a little more. Beside a million rows, one of 10,000 others is taken for one of them
 * with a probability of 1 : 10^9.
 */
export class RowHashes {
  /** Two words for each slot; the second one is never 0 in a taken one. */
  private words: Uint32Array;
  private count = 0;

  /** @param expected hashes; room for more is made when they come */
  constructor(expected: number) {
    this.words = new Uint32Array(2 * Math.ceil(1024 + (1.1 * expected) / fullest));
  }

  /** @param row words of the hash, as RowHashSum gives them */
  add(row: Uint32Array): void {
    if (2 * this.count >= fullest * this.words.length) this.grow();
    this.put(row[0] ?? 0, ((row[1] ?? 0) | 1) >>> 0);
  }

  has(row: Uint32Array): boolean {
    return this.words[this.find(row[0] ?? 0, ((row[1] ?? 0) | 1) >>> 0) + 1] !== 0;
  }

  private put(first: number, second: number): void {
    const {words} = this;
    const at = this.find(first, second);
    if (words[at + 1] === 0) this.count += 1;
    words[at] = first;
    words[at + 1] = second;
  }

  /** The position of the hash, or of the free slot for it. */
  private find(first: number, second: number): number {
    const {words} = this;
    const {length} = words;
    let at = 2 * (first % (length / 2));
    while (words[at + 1] !== 0 && (words[at] !== first || words[at + 1] !== second)) {
      at += 2;
      if (at === length) at = 0;
    }
    return at;
  }

  private grow(): void {
    const {words} = this;
    this.words = new Uint32Array(2 * words.length);
    this.count = 0;
    for (let at = 0; at < words.length; at += 2) {
      const second = words[at + 1] ?? 0;
      if (second !== 0) this.put(words[at] ?? 0, second);
    }
  }
}
