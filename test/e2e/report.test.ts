/** The report in a real browser: light and dark, wide and narrow, with names that try to break it. */
import {rm, stat} from 'node:fs/promises';
import {type Browser, chromium} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {noFacts} from '../../src/lib/run/run-record.js';
import {appendRun} from '../../src/lib/run/append-history.js';
import {writeReport} from '../../src/lib/services/report/write-report.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';
import {simulateMonth, story, writeSimulatedMonth} from '../support/simulated-month.js';
import {testContext} from '../support/test-context.js';

const now = `${story.lastDay}T12:00:00Z`;
const plan = ['daily custom at 02:00', 'weekly sql at 03:00', 'weekly restore test at 04:00'];
const hostileName = `<img src=x onerror=alert(1)>"'&${'long_name_'.repeat(20)}`;

let month = '';
let hostile = '';
let empty = '';
let browser: Browser;

async function report(folder: string): Promise<string> {
  const settings = {config: {schedule: {plan, timeZone: 'UTC'}}};
  return (await writeReport(testContext(folder, {now, settings}))).path;
}

beforeAll(async () => {
  requirePrograms('chromium');
  [month, hostile, empty] = await Promise.all([tempFolder(), tempFolder(), tempFolder()]);
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
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
});

afterAll(async () => {
  await browser.close();
  for (const folder of [month, hostile, empty]) await rm(folder, {recursive: true, force: true});
});

/** What is wrong with the page as it is laid out: runs in the browser. */
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
    if (parseFloat(getComputedStyle(svg.querySelector('text') ?? svg).fontSize) * box.width / svg.viewBox.baseVal.width < 11)
      faults.push('letters smaller than 11 px');
  }
  return faults;
})()`;

describe('the report', () => {
  const views = (['light', 'dark'] as const).flatMap((colorScheme) =>
    [1280, 390].map((width) => ({colorScheme, width})),
  );

  it.each(views)('fits and loads nothing: $colorScheme, $width pixels', async ({colorScheme, width}) => {
    for (const folder of [month, hostile, empty]) {
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
      expect(ground).toBe(colorScheme === 'dark' ? 'rgb(20, 24, 29)' : 'rgb(255, 255, 255)');
      await page.close();
    }
  });

  it('has a sentence and a table with every picture, and shows hostile names as they are', async () => {
    const page = await browser.newPage();
    await page.goto(`file://${await report(month)}`);
    const sections = await page.locator('section').all();
    expect(sections).toHaveLength(9);
    for (const section of sections) {
      expect(await section.locator('> p').first().innerText()).toMatch(/\.$/);
      expect(await section.locator('table').count()).toBe(1);
    }
    await page.goto(`file://${await report(hostile)}`);
    expect(await page.locator('td', {hasText: `public.${hostileName}`}).count()).toBe(1);
    await page.close();
  });

  it('prints light on A4, whatever the screen', async () => {
    const page = await browser.newPage({colorScheme: 'dark'});
    await page.goto(`file://${await report(month)}`);
    await page.emulateMedia({media: 'print', colorScheme: 'dark'});
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
    const pdf = (await page.pdf({preferCSSPageSize: true})).toString('latin1');
    expect(pdf).toMatch(/\/MediaBox \[0 0 59[45][\d.]* 84[12][\d.]*\]/);
    await page.close();
  });

  it('is written by the command for the owner alone, and --json gives the same data', async () => {
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
