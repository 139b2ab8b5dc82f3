/** Field names of a Prisma model as its mapped columns are named. */

/** "taxAmount" -> "tax_amount" */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
