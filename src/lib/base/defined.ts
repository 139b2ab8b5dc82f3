/** Optional keys: absent inside this program, and absent or undefined where values come from outside, as parsed flags do. */

/** `T` as it comes from outside: its optional keys may be undefined as well. */
export type Given<T> = {[K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K]};

/** The same without the keys whose value is undefined: a later spread of them would override a default. */
export function defined<T extends object>(given: NoInfer<Given<T>>): T {
  // Given<T> differs from T by exactly these keys.
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}
