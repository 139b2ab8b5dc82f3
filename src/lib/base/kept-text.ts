/** Texts that are kept by the ten thousands, cut out of others. */

/** The same text, alone: V8 keeps the whole of a text in memory as long as anybody has a part of it. */
export function keptText(text: string): string {
  return Buffer.from(text).toString();
}

/** Keeps equal texts once: kinds, schemas, owners, and columns that many tables have. */
export class TextPool {
  private readonly texts = new Map<string, string>();

  take(text: string): string {
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    const kept = keptText(text);
    this.texts.set(kept, kept);
    return kept;
  }
}
