/** Paths into JSON values, as masks name them: "$.items[*].note". */

export const anyElement = Symbol('any element');
export const anyMember = Symbol('any member');
/** A member's name, an index, or all elements or members. */
export type JsonStep = string | number | typeof anyElement | typeof anyMember;

/** The steps of a path of the form that the config allows. */
export function jsonSteps(path: string): JsonStep[] {
  return [...path.matchAll(/\.(\*)|\."([^"]+)"|\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\*)\]|\[(\d+)\]/g)].map(
    ([, member, quoted, bare, element, index]) => {
      if (member !== undefined) return anyMember;
      if (element !== undefined) return anyElement;
      return index === undefined ? (quoted ?? bare ?? '') : Number(index);
    },
  );
}

/** The path for jsonb_path_query, with quoted names. */
export function sqlJsonPath(path: string): string {
  const steps = jsonSteps(path).map((step) => {
    if (step === anyElement) return '[*]';
    if (step === anyMember) return '.*';
    return typeof step === 'number' ? `[${step}]` : `.${JSON.stringify(step)}`;
  });
  return `lax $${steps.join('')}`;
}
