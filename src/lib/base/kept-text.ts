/** Saves memory for texts that are cut out of others and kept in large numbers. */

/** A copy of the text: V8 keeps the complete original in memory as long as a slice of it is in use. */
export function keptText(text: string): string {
  return Buffer.from(text).toString();
}

/** Stores equal texts once: kinds, schemas, owners, column lists. */
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
