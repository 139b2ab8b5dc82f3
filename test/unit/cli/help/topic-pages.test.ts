/** Topics of help say what the program does: each is compared with the table, or the code, that the program works by. */
import {readdirSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {describe, expect, it} from 'vitest';
import {errorCodeTable} from '../../../../src/lib/base/errors.js';
import {backupFormats} from '../../../../src/lib/base/formats.js';
import {placeProblem} from '../../../../src/lib/base/place-name.js';
import {helpTopics, isHelpTopic} from '../../../../src/lib/cli/help/help-topics.js';
import {topicPage} from '../../../../src/lib/cli/help/topic-pages.js';
import {configKeys} from '../../../../src/lib/settings/config-reference.js';
import {environmentVariables} from '../../../../src/lib/settings/environment-variables.js';

const page = (topic: keyof typeof helpTopics): string => topicPage(topic, 'destino-db', 80);
/** Without the line breaks of the layout. */
const flat = (topic: keyof typeof helpTopics): string => page(topic).replace(/\s+/g, ' ');

const src = fileURLToPath(new URL('../../../../src/', import.meta.url));
const source = readdirSync(src, {recursive: true, encoding: 'utf8'})
  .filter((path) => path.endsWith('.ts') && !path.endsWith('settings/environment-variables.ts'))
  .map((path) => readFileSync(`${src}${path}`, 'utf8'))
  .join('\n');

/** Words in the form of a variable that are not for users: for tests, the first bytes of a dump. */
const internal = ['DESTINO_DB_FAULT', 'PGDMP'];

describe('the topic environment', () => {
  const known = environmentVariables.flatMap(({names}) => names);

  it('names every variable of the program, of libpq and of AWS that the code reads', () => {
    const read = source.matchAll(
      /['"]((?:DESTINO_DB_|AWS_)[A-Z\d_]+|PG[A-Z][A-Z_]{2,}|[A-Z]+_URL|NODE_ENV|NO_COLOR|FORCE_COLOR)['"]/g,
    );
    const names = new Set([...read].map(([, name = '']) => name));
    expect(names.size).toBeGreaterThan(30);
    expect([...names].filter((name) => ![...known, ...internal].includes(name))).toEqual([]);
  });

  it('names none that the code does not read', () => {
    const elsewhere = ['DESTINO_DB_CONTENT_TYPE']; // oclif's own, by the name of the program
    const unread = known.filter(
      (name) => !elsewhere.includes(name) && !new RegExp(`\\b${name}\\b`).test(source),
    );
    expect(unread).toEqual([]);
  });

  it('shows each', () => {
    for (const name of known) expect(page('environment')).toMatch(new RegExp(`^  .*\\b${name}(?:,|$)`, 'm'));
  });
});

it('the topic config has every key of the config file', () => {
  expect(configKeys().length).toBeGreaterThan(50);
  for (const {key} of configKeys()) expect(page('config')).toContain(`\n  ${key} (`);
});

it('the topic errors has every code below its exit code', () => {
  const sections = new Map(
    page('errors')
      .split(/\n(?=EXIT CODE)/)
      .map((text) => [/^EXIT CODE (\d+)/.exec(text)?.[1] ?? '', text]),
  );
  for (const {code, exitCode, meaning} of errorCodeTable()) {
    const section = sections.get(String(exitCode)) ?? '';
    expect(section).toMatch(new RegExp(`^  ${code}(?: |$)`, 'm'));
    expect(section.replace(/\s+/g, ' ')).toContain(meaning);
  }
});

it('the topic exit-codes has every exit code, and 0', () => {
  const codes = new Set([0, ...errorCodeTable().map(({exitCode}) => exitCode)]);
  for (const code of codes) expect(page('exit-codes')).toMatch(new RegExp(`^  (?:\\d+, )?${code}\\b`, 'm'));
});

it('the topic formats has every format, with the ends of its names', () => {
  for (const format of backupFormats) expect(page('formats')).toContain(`\n--format ${format}\n`);
  for (const end of ['.dump', '.sql', '.sql.gz', '.dir']) expect(flat('formats')).toContain(end);
});

it('the topic on locations shows an address that is accepted', () => {
  const [address = ''] = /s3:\/\/\S+/.exec(page('places')) ?? [];
  expect(address).not.toBe('');
  expect(placeProblem(address)).toBeUndefined();
});

it.each(Object.keys(helpTopics).filter(isHelpTopic))('the page of %s fits narrow terminals too', (topic) => {
  for (const width of [80, 40]) {
    const wide = topicPage(topic, 'destino-db', width)
      .split('\n')
      .filter((line) => line.length > width && /\S +\S/.test(line.trim().slice(0, width)));
    expect(wide).toEqual([]);
  }
});
