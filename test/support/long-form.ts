/** More cases of the same kind than fit into the 15 minutes of `npm test`; `npm run test:long` runs them all. */
export const isLongForm = process.env['DESTINO_TEST_LONG'] === '1';

/** The first `count` cases, or in the long form all of them. */
export function cases<T>(all: readonly T[], count = 1): readonly T[] {
  return isLongForm ? all : all.slice(0, count);
}
