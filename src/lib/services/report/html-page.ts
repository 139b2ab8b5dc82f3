/** A page of sections, each a sentence, a picture and a table: one file, no scripts, nothing loaded from elsewhere. */
import {escapeHtml} from './escape-html.js';
import {pageStyle} from './page-style.js';
import {mark} from './svg-chart.js';

export interface PageSection {
  readonly title: string;
  /** What the picture shows, in words. */
  readonly sentence: string;
  /** The picture at a width in pixels; undefined where there is nothing to draw. */
  readonly picture: ((width: number) => string) | undefined;
  readonly legend?: readonly LegendEntry[];
  readonly table: PageTable;
}

/** `mark` is the number of a series in a time chart, or the kind of a column's part. */
export interface LegendEntry {
  readonly name: string;
  readonly mark: number | 'ok' | 'failed' | 'missed';
}

export interface PageTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of figures, which are set to the right. */
  readonly right?: readonly number[];
  /** What is said when there are no rows. */
  readonly empty: string;
}

export interface Page {
  readonly title: string;
  readonly subtitle: string;
  /** Whether all is as it should be, in a sentence, and what is not, a line each. */
  readonly verdict: {readonly text: string; readonly lines: readonly string[]};
  /** The most important figures: a name and a value each, and whether it needs attention. */
  readonly figures: readonly {name: string; value: string; isBad: boolean}[];
  readonly sections: readonly PageSection[];
  readonly footer: string;
}

const wide = 720;
const narrow = 340;
const shownRows = 12;

/** The whole page; every text in it is escaped. */
export function htmlPage(page: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(page.title)}</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${escapeHtml(page.title)}</h1>
<p class="dim">${escapeHtml(page.subtitle)}</p>
${verdictBox(page.verdict)}
<dl class="figures">
${page.figures.map(figure).join('\n')}
</dl>
${page.sections.map(section).join('\n')}
<footer class="dim">${escapeHtml(page.footer)}</footer>
</main>
</body>
</html>
`;
}

function verdictBox({text, lines}: Page['verdict']): string {
  const items = lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('');
  const list = items === '' ? '' : `<ul>${items}</ul>`;
  return `<div class="verdict${items === '' ? '' : ' bad'}"><p>${escapeHtml(text)}</p>${list}</div>`;
}

function figure({name, value, isBad}: Page['figures'][number]): string {
  return `<div${isBad ? ' class="bad"' : ''}><dt>${escapeHtml(name)}</dt><dd>${isBad ? '! ' : ''}${escapeHtml(value)}</dd></div>`;
}

function section({title, sentence, picture, legend, table}: PageSection): string {
  const pictures = picture
    ? `<figure>${legendLine(legend ?? [])}<div class="wide">${picture(wide)}</div><div class="narrow">${picture(narrow)}</div></figure>`
    : '';
  return `<section>
<h2>${escapeHtml(title)}</h2>
<p>${escapeHtml(sentence)}</p>
${pictures}
${htmlTable(table)}
</section>`;
}

function legendLine(entries: readonly LegendEntry[]): string {
  if (entries.length === 0) return '';
  const items = entries.map(({name, mark: kind}) => {
    const sign =
      typeof kind === 'number'
        ? mark(kind, 6, 6)
        : `<rect class="${kind}" x="1" y="1" width="10" height="10"/>`;
    return `<li><svg width="12" height="12" aria-hidden="true">${sign}</svg> ${escapeHtml(name)}</li>`;
  });
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** Rows come newest or largest first; the rest of a long table is told, not shown. */
function htmlTable({head, rows, right = [], empty}: PageTable): string {
  if (rows.length === 0) return `<p class="dim">${escapeHtml(empty)}</p>`;
  const classOf = (cell: string, index: number): string => {
    if (right.includes(index)) return ' class="right"';
    return /^\d{4}-\d\d-\d\d/.test(cell) ? ' class="date"' : '';
  };
  const cells = (row: readonly string[], tag: 'td' | 'th'): string =>
    row.map((cell, index) => `<${tag}${classOf(cell, index)}>${escapeHtml(cell)}</${tag}>`).join('');
  const body = rows.slice(0, shownRows).map((row) => `<tr>${cells(row, 'td')}</tr>`);
  const rest = rows.length - shownRows;
  const more = rest > 0 ? `<p class="dim">and ${rest} more; destino-db report --json has them all</p>` : '';
  return `<div class="table"><table><thead><tr>${cells(head, 'th')}</tr></thead><tbody>${body.join('')}</tbody></table></div>${more}`;
}
