/** Lays out help pages: headings, paragraphs, and names with their explanations, for a given width. */

export const indent = 2;

/** Columns that an explanation needs beside its name. */
const narrowest = 24;

/** A heading, which may be empty, and what is below it; without lines it is left out. */
export type Section = readonly [title: string, lines: readonly string[]];

export function sections(parts: readonly Section[]): string {
  const blocks = parts
    .filter(([, lines]) => lines.some((line) => line.trim() !== ''))
    .map(([title, lines]) => [...(title === '' ? [] : [title]), ...lines].join('\n'));
  return `${blocks.join('\n\n')}\n`;
}

/** A name and its explanation side by side, or below each other where the name is too long. */
export function entry(name: string, text: string, width: number, column: number): string[] {
  const margin = ' '.repeat(column + 2 * indent);
  if (width - margin.length < narrowest)
    return [`  ${name.trim()}`, ...wrap(text, width - 2 * indent).map((line) => `    ${line}`)];
  const lines = wrap(text, width - margin.length);
  const first = name.length > column ? [`  ${name}`] : [`  ${name.padEnd(column)}  ${lines.shift() ?? ''}`];
  return [...first, ...lines.map((line) => margin + line)];
}

/** Entries in a column as wide as the longest name. */
export function entries(rows: readonly (readonly [name: string, text: string])[], width: number): string[] {
  const column = Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, text]) => entry(name, text, width, column));
}

/** Rows whose lines begin in one column, behind a title in the first line only. */
export function titledRows(
  rows: readonly (readonly [title: string, text: string])[],
  width: number,
): string[] {
  const column = Math.max(...rows.map(([title]) => title.length)) + indent;
  return rows.flatMap(([title, text]) =>
    wrap(text, width - column).map((line, index) => (index === 0 ? title : '').padEnd(column) + line),
  );
}

export function indented(lines: readonly string[]): string[] {
  return lines.map((line) => ' '.repeat(indent) + line);
}

/** Line breaks of the source mean nothing, but for an empty line. */
export function paragraphs(text: string, width: number): string[] {
  return text
    .split('\n\n')
    .flatMap((paragraph, index) => [
      ...(index === 0 ? [] : ['']),
      ...wrap(paragraph.replaceAll('\n', ' '), width),
    ]);
}

export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/ +/)) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
