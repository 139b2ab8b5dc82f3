/** A page of a verdict, figures and sections: one file, no scripts, nothing loaded from elsewhere. Every text is escaped here. */
import {escapeHtml} from './escape-html.js';
import {pageStyle} from './page-style.js';
import {type DayState, daySigns, mark} from './svg-chart.js';

export interface Page {
  readonly title: string;
  readonly subtitle: string;
  readonly verdict: Verdict;
  /** The most important figures, where they are about one database. */
  readonly figures: readonly Figure[];
  /** Every database with its state, in the order of the groups, where there are several. */
  readonly overview: readonly {name: string; state: Verdict['state']; lines: readonly string[]}[];
  readonly incidents: Incidents;
  readonly groups: readonly PageGroup[];
  readonly footer: string;
}

/** Whether all is as it should be, and what is not. */
export interface Verdict {
  readonly state: 'ok' | 'warning' | 'critical';
  readonly text: string;
  /** The meaning of the verdict, in sentences. */
  readonly meaning: string;
  /** `text` for the owner of the data, `detail` for the one who looks after it. */
  readonly findings: readonly {severity: 'warning' | 'critical'; text: string; detail: string}[];
}

/** Failures and alarms in the time of the report, newest first. */
export interface Incidents {
  readonly title: string;
  readonly sentence: string;
  readonly entries: readonly {at: string; kind: string; text: string}[];
}

/** All about one database, or about the storage. */
export interface PageGroup {
  readonly title: string;
  readonly subtitle: string;
  readonly figures: readonly Figure[];
  readonly sections: readonly PageSection[];
  readonly tables: readonly FoldedTable[];
}

export interface Figure {
  readonly name: string;
  readonly value: string;
  readonly note: string;
  readonly isBad: boolean;
}

/** A picture with its sentence; where there is nothing to draw, the sentence alone. */
export interface PageSection {
  readonly title: string;
  readonly sentence: string;
  readonly picture: string | undefined;
  readonly legend?: readonly LegendEntry[];
  readonly table?: PageTable;
}

/** `mark` is the number of a series in a time chart, or the state of a day in a calendar. */
export interface LegendEntry {
  readonly name: string;
  readonly mark: number | DayState | 'ring';
}

export interface PageTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of figures, which are set to the right. */
  readonly right?: readonly number[];
  readonly caption: string;
}

/** A table that is opened by a click on its summary. */
export interface FoldedTable extends PageTable {
  readonly summary: string;
}

const shownIncidents = 8;
const shownRows = 200;

/** The whole page. */
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
<header>
<h1>${escapeHtml(page.title)}</h1>
<p class="dim">${escapeHtml(page.subtitle)}</p>
</header>
${verdictBox(page.verdict)}
${figureList(page.figures)}${overviewList(page.overview)}
${incidentList(page.incidents)}
${page.groups.map((one, index) => group(one, index)).join('\n')}
<footer class="dim">${escapeHtml(page.footer)}</footer>
</main>
</body>
</html>
`;
}

const verdictSigns = {ok: '✓', warning: '!', critical: '✕'} as const;

function verdictBox({state, text, meaning, findings}: Verdict): string {
  const items = findings.map(
    ({severity, text: line, detail}) =>
      `<li class="${severity}"><b>${severity === 'critical' ? 'Critical' : 'Warning'}:</b> ${escapeHtml(line)}<small>${escapeHtml(detail)}</small></li>`,
  );
  const list = items.length === 0 ? '' : `<ul>${items.join('')}</ul>`;
  return `<section class="verdict ${state}" aria-label="Verdict"><span class="sign" aria-hidden="true">${verdictSigns[state]}</span><div><h2>${escapeHtml(text)}</h2><p>${escapeHtml(meaning)}</p>${list}</div></section>`;
}

function overviewList(entries: Page['overview']): string {
  if (entries.length === 0) return '';
  const items = entries.map(
    ({name, state, lines}, index) =>
      `<li class="${state}"><span class="sign" aria-hidden="true">${verdictSigns[state]}</span><span><a href="#g${index}">${escapeHtml(name)}</a>${lines.map((line) => `<small>${escapeHtml(line)}</small>`).join('')}</span></li>`,
  );
  return `<ul class="overview">${items.join('')}</ul>`;
}

function incidentList({title, sentence, entries}: Incidents): string {
  const items = entries.map(
    ({at, kind, text}) =>
      `<li><time>${escapeHtml(at)}</time><span><b>${escapeHtml(kind)}</b> ${escapeHtml(text)}</span></li>`,
  );
  const list = (part: readonly string[]): string =>
    part.length === 0 ? '' : `<ul class="incidents">${part.join('')}</ul>`;
  const older = items.slice(shownIncidents);
  const more =
    older.length === 0 ? '' : `<details><summary>${older.length} older</summary>${list(older)}</details>`;
  return `<section class="block"><h2>${escapeHtml(title)}</h2><p>${escapeHtml(sentence)}</p>${list(items.slice(0, shownIncidents))}${more}</section>`;
}

function group({title, subtitle, figures, sections, tables}: PageGroup, index: number): string {
  return `<section class="group" id="g${index}">
<h2>${escapeHtml(title)}</h2>
${subtitle === '' ? '' : `<p class="dim">${escapeHtml(subtitle)}</p>`}
${figureList(figures)}
<div class="grid2">
${sections.map(section).join('\n')}
</div>
${tables.map(foldedTable).join('\n')}
</section>`;
}

function figureList(figures: readonly Figure[]): string {
  return figures.length === 0 ? '' : `<dl class="figures">${figures.map(figure).join('')}</dl>`;
}

function figure({name, value, note, isBad}: Figure): string {
  return `<div${isBad ? ' class="bad"' : ''}><dt>${escapeHtml(name)}</dt><dd>${isBad ? '! ' : ''}${escapeHtml(value)}<small>${escapeHtml(note)}</small></dd></div>`;
}

function section({title, sentence, picture, legend = [], table}: PageSection): string {
  const drawn = picture === undefined ? '' : `<figure>${legendLine(legend)}${picture}</figure>`;
  return `<section class="card"><h3>${escapeHtml(title)}</h3><p>${escapeHtml(sentence)}</p>${drawn}${table ? htmlTable(table) : ''}</section>`;
}

function legendLine(entries: readonly LegendEntry[]): string {
  if (entries.length === 0) return '';
  const items = entries.map(({name, mark: kind}) => `<li>${legendSign(kind)} ${escapeHtml(name)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

function legendSign(kind: LegendEntry['mark']): string {
  if (typeof kind === 'string' && kind !== 'ring')
    return `<span class="key ${kind}" aria-hidden="true">${daySigns[kind]}</span>`;
  const sign = kind === 'ring' ? '<circle class="ring" cx="7" cy="7" r="5"/>' : mark(kind, 7, 7);
  return `<svg width="14" height="14" aria-hidden="true">${sign}</svg>`;
}

function foldedTable({summary, ...table}: FoldedTable): string {
  return `<details><summary>${escapeHtml(summary)}</summary>${htmlTable(table)}</details>`;
}

function htmlTable({head, rows, right = [], caption}: PageTable): string {
  const classOf = (cell: string, index: number): string => {
    if (right.includes(index)) return ' class="right"';
    return /^\d{4}-\d\d-\d\d/.test(cell) ? ' class="date"' : '';
  };
  const heads = head.map((cell, index) => `<th scope="col"${classOf(cell, index)}>${escapeHtml(cell)}</th>`);
  const body = rows
    .slice(0, shownRows)
    .map(
      (row) =>
        `<tr>${row.map((cell, index) => `<td${classOf(cell, index)}>${escapeHtml(cell)}</td>`).join('')}</tr>`,
    );
  const rest = rows.length - shownRows;
  const more =
    rest > 0 ? `<p class="dim">${rest} more are in the output of destino-db report --json.</p>` : '';
  return `<div class="table"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${heads.join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>${more}`;
}
