/** The report in a real browser: light and dark, wide and narrow, with names that could break it. */
import {rm, stat} from 'node:fs/promises';
import {hostname} from 'node:os';
import {type Browser, chromium} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {noFacts} from '../../src/lib/run/run-record.js';
import {appendRun} from '../../src/lib/run/append-history.js';
import {writeReport} from '../../src/lib/services/report/write-report.js';
import {requirePrograms} from '../support/require-programs.js';
import {cases} from '../support/long-form.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';
import {generateHistory, writeHistory} from '../support/generated-history.js';
import {simulateMonth, story, writeSimulatedMonth} from '../support/simulated-month.js';
import {testContext} from '../support/test-context.js';

const now = `${story.lastDay}T12:00:00Z`;
const plan = ['daily custom at 02:00', 'weekly sql at 03:00', 'weekly restore test at 04:00'];
const hostileName = `<img src=x onerror=alert(1)>"'&${'long_name_'.repeat(20)}`;

let month = '';
let hostile = '';
let empty = '';
let several = '';
let browser: Browser;

async function report(folder: string): Promise<string> {
  const settings = {config: {schedule: {plan, timeZone: 'UTC'}}};
  return (await writeReport(testContext(folder, {now, settings}))).path;
}

beforeAll(async () => {
  requirePrograms('chromium');
  [month, hostile, empty, several] = await Promise.all([
    tempFolder(),
    tempFolder(),
    tempFolder(),
    tempFolder(),
  ]);
  await writeSimulatedMonth(`${month}/backups`);
  const tables = [{schema: 'public', name: hostileName, rows: 3, fingerprint: null}];
  const record = await writeSampleBackup(`${hostile}/backups/database`, '2026-11-20T02:00:00.000Z', {
    databaseName: hostileName,
    id: 'hostile',
    tables,
  });
  const [run] = simulateMonth().runs;
  if (!run) throw new Error('the month has no runs');
  await appendRun(`${hostile}/backups`, {
    ...run,
    ...noFacts,
    backupId: record.id,
    alarms: [hostileName],
    errorCode: hostileName,
    database: {name: hostileName, systemIdentifier: null, host: 'h', port: 1},
  });
  await writeHistory(
    `${several}/backups`,
    generateHistory({firstDay: '2026-08-24', days: 91, size: (index) => 1e8 + 1e6 * index, hasPartial: true}),
    generateHistory({database: 'blog', firstDay: '2026-11-22', days: 1, size: () => 5e6}),
  );
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
});

afterAll(async () => {
  await browser.close();
  for (const folder of [month, hostile, empty, several]) await rm(folder, {recursive: true, force: true});
});

/** Layout errors of the page: runs in the browser. */
const findFaults = `(() => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push('the page is wider than the window');
  const isShown = (element) => element.getClientRects().length > 0;
  for (const svg of document.querySelectorAll('figure svg')) {
    if (!isShown(svg)) continue;
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => ({text: text.textContent, box: text.getBoundingClientRect()}));
    for (const {text, box: inner} of texts) {
      if (inner.left < box.left - 1 || inner.right > box.right + 1 || inner.top < box.top - 1 || inner.bottom > box.bottom + 1)
        faults.push('cut off: ' + text);
    }
    texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
      const overlaps = a.box.left < b.box.right && b.box.left < a.box.right && a.box.top + 3 < b.box.bottom && b.box.top + 3 < a.box.bottom;
      if (overlaps) faults.push('overlapping: ' + a.text + ' and ' + b.text);
    }));
    if (svg.role === 'img' && (svg.querySelector(':scope > title') === null || svg.querySelector(':scope > desc') === null)) faults.push('a picture without a name');
    if (svg.querySelector('text') && parseFloat(getComputedStyle(svg.querySelector('text')).fontSize) * box.width / svg.viewBox.baseVal.width < 11)
      faults.push('letters smaller than 11 px');
  }
  return faults;
})()`;

/** Texts with too little contrast to their background (WCAG: 4.5): runs in the browser. */
const findPaleLetters = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const isOpaque = (color) => { const parts = parse(color); return parts.length === 3 || parts[3] === 1; };
  const groundOf = (element) => {
    const rect = element.tagName === 'text' && element.closest('.day')?.querySelector('rect');
    const fill = rect && getComputedStyle(rect).fill;
    if (fill && fill !== 'none') return fill;
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (isOpaque(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const pale = new Set();
  for (const element of document.querySelectorAll('body *')) {
    if (element.getClientRects().length === 0 || ![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const color = element.tagName === 'text' ? style.fill : style.color;
    const [a, b] = [light(color), light(groundOf(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) pale.add(element.tagName + '.' + element.getAttribute('class') + ' ' + element.textContent.slice(0, 30) + ' ' + contrast.toFixed(2));
  }
  return [...pale];
})()`;

describe('the report', () => {
  const views = [
    {colorScheme: 'light', width: 1280},
    {colorScheme: 'dark', width: 390},
    {colorScheme: 'light', width: 390},
    {colorScheme: 'dark', width: 1280},
  ] as const;

  it.each(cases(views, 2))(
    'fits and loads nothing: $colorScheme, $width pixels',
    async ({colorScheme, width}) => {
      for (const folder of [month, hostile, empty, several]) {
        const path = await report(folder);
        const page = await browser.newPage({viewport: {width, height: 900}, colorScheme});
        const requests: string[] = [];
        const messages: string[] = [];
        page.on('request', (request) => requests.push(request.url()));
        page.on('console', (message) => messages.push(message.text()));
        page.on('pageerror', (error) => messages.push(error.message));
        page.on('dialog', (dialog) => {
          messages.push(dialog.message());
          void dialog.dismiss();
        });
        await page.goto(`file://${path}`);
        expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([`file://${path}`]);
        expect(messages).toEqual([]);
        expect(await page.evaluate(findFaults)).toEqual([]);
        expect(await page.locator('script, img, iframe, link:not([rel=icon])').count()).toBe(0);
        const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
        expect(ground).toBe(colorScheme === 'dark' ? 'rgb(20, 24, 29)' : 'rgb(245, 247, 249)');
        await page.close();
      }
    },
  );

  it('has a sentence with every picture, folded tables with headings, and shows hostile names unchanged', async () => {
    const page = await browser.newPage();
    await page.goto(`file://${await report(month)}`);
    for (const section of await page.locator('.card').all())
      expect(await section.locator('> p').first().innerText()).toMatch(/\.$/);
    const tables = await page.locator('table').all();
    expect(tables).toHaveLength(4);
    for (const table of tables) {
      expect(await table.isVisible()).toBe(false);
      expect(await table.locator('th[scope=col]').count()).toBeGreaterThan(2);
      expect(await table.locator('caption').count()).toBe(1);
    }
    await page.locator('summary', {hasText: 'All backups'}).click();
    expect(await page.locator('td', {hasText: '2026-11-22 02:00'}).isVisible()).toBe(true);
    await page.goto(`file://${await report(hostile)}`);
    expect(await page.locator('td', {hasText: `public.${hostileName}`}).count()).toBe(1);
    await page.close();
  });

  it('has the verdict, the findings and the figures on the first screen, and two columns at 1280 pixels', async () => {
    const page = await browser.newPage({viewport: {width: 1280, height: 900}});
    await page.goto(`file://${await report(month)}`);
    expect(await page.title()).toBe(`Backups of shop on ${hostname()}`);
    for (const place of ['.verdict', '.verdict li', '.figures']) {
      const box = await page.locator(place).first().boundingBox();
      expect((box?.y ?? 900) + (box?.height ?? 0)).toBeLessThan(900);
    }
    const columns = async (): Promise<number> => {
      const boxes = await Promise.all((await page.locator('.card').all()).map((card) => card.boundingBox()));
      return new Set(boxes.map((box) => box?.x)).size;
    };
    expect(await columns()).toBe(2);
    await page.setViewportSize({width: 390, height: 844});
    expect(await columns()).toBe(1);
    await page.close();
  });

  it.each(cases(['dark', 'light'] as const))('has letters with enough contrast, %s', async (colorScheme) => {
    const page = await browser.newPage({viewport: {width: 1280, height: 900}, colorScheme});
    for (const folder of [month, empty, several]) {
      await page.goto(`file://${await report(folder)}`);
      expect(await page.evaluate(findPaleLetters)).toEqual([]);
    }
    await page.close();
  });

  it('prints light on A4, on every screen', async () => {
    const page = await browser.newPage({colorScheme: 'dark'});
    await page.goto(`file://${await report(month)}`);
    await page.emulateMedia({media: 'print', colorScheme: 'dark'});
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
    const pdf = (await page.pdf({preferCSSPageSize: true})).toString('latin1');
    expect(pdf).toMatch(/\/MediaBox \[0 0 59[45][\d.]* 84[12][\d.]*\]/);
    await page.close();
  });

  it('is readable only for the owner, and --json gives the same data', async () => {
    const result = await runCli(['report', '--json'], {cwd: month});
    expect(result.status).toBe(0);
    expect(result.json()).toMatchObject({
      schemaVersion: 1,
      path: `${month}/backups/report.html`,
      summary: {backupRuns: {ok: 30, failed: 3}},
    });
    expect((await stat(`${month}/backups/report.html`)).mode & 0o777).toBe(0o600);
    const shown = await runCli(['report', '-o', 'elsewhere/page.html'], {cwd: month, env: {LANG: 'C'}});
    expect(shown.stdout).toContain('Size shop custom');
    expect(shown.stdout).toMatch(/[*#]{10}/);
    expect((await stat(`${month}/elsewhere/page.html`)).size).toBeGreaterThan(10_000);
  });
});
