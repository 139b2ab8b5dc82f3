/** Adds scripts to the text of a package.json without changing any other byte. */
import {AppError} from '../../base/errors.js';

export interface AddedScripts {
  readonly text: string;
  readonly added: readonly string[];
  /** Existing scripts with another command, by name. */
  readonly differing: readonly {name: string; command: string}[];
}

/**
 * @param isReplacing whether existing scripts with another command are replaced; otherwise they are kept
 * @throws CONFIG_INVALID if the text or its scripts are not a JSON object
 */
export async function addPackageScripts(
  text: string,
  scripts: Readonly<Record<string, string>>,
  isReplacing: boolean,
): Promise<AddedScripts> {
  const {parseTree, findNodeAtLocation} = await import('jsonc-parser');
  const wrong = (why: string): AppError =>
    new AppError('CONFIG_INVALID', `The package.json cannot be extended: ${why}; nothing was changed.`);
  const errors: {offset: number}[] = [];
  const root = parseTree(text, errors as Parameters<typeof parseTree>[1], {disallowComments: true});
  if (root?.type !== 'object' || errors.length > 0) throw wrong('it is not valid JSON');
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const indent = /\n([ \t]+)"/.exec(text)?.[1] ?? '  ';

  const existing = findNodeAtLocation(root, ['scripts']);
  if (existing && existing.type !== 'object') throw wrong('its "scripts" is not an object');
  const property = (name: string) => existing && findNodeAtLocation(existing, [name]);
  const differing: {name: string; command: string}[] = [];
  const edits: {offset: number; length: number; text: string}[] = [];
  const added: string[] = [];
  for (const [name, command] of Object.entries(scripts)) {
    const node = property(name);
    if (!node) added.push(name);
    else if (node.value !== command) {
      differing.push({name, command: String(node.value)});
      if (isReplacing) edits.push({offset: node.offset, length: node.length, text: JSON.stringify(command)});
    }
  }

  const insert = (object: NonNullable<typeof root>, depth: number, lines: readonly string[]): void => {
    const last = object.children?.at(-1);
    const pad = eol + indent.repeat(depth + 1);
    const body = lines.join(`,${pad}`);
    if (last) edits.push({offset: last.offset + last.length, length: 0, text: `,${pad}${body}`});
    else
      edits.push({
        offset: object.offset,
        length: object.length,
        text: `{${pad}${body}${eol}${indent.repeat(depth)}}`,
      });
  };
  const lines = added.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(scripts[name])}`);
  if (lines.length > 0 && existing) insert(existing, 1, lines);
  else if (lines.length > 0) {
    const inner = eol + indent.repeat(2);
    insert(root, 0, [`"scripts": {${inner}${lines.join(`,${inner}`)}${eol}${indent}}`]);
  }

  edits.sort((a, b) => b.offset - a.offset);
  const result = edits.reduce(
    (current, edit) => current.slice(0, edit.offset) + edit.text + current.slice(edit.offset + edit.length),
    text,
  );
  return {text: result, added, differing};
}
