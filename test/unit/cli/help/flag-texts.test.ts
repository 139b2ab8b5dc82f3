/** The help texts of flags and commands follow docs/style.md; they are read from the manifest. */
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import {z} from 'zod';
import {groups} from '../../../../src/lib/cli/flags.js';

const {commands} = z
  .object({
    commands: z.record(
      z.string(),
      z.object({
        pluginName: z.string(),
        hidden: z.boolean().optional(),
        summary: z.string().optional(),
        args: z.record(z.string(), z.object({description: z.string()})),
        flags: z.record(
          z.string(),
          z.object({
            type: z.string(),
            summary: z.string().optional(),
            helpGroup: z.string().optional(),
            hidden: z.boolean().optional(),
            allowNo: z.boolean().optional(),
            multiple: z.boolean().optional(),
            default: z.unknown().optional(),
          }),
        ),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL('../../../../oclif.manifest.json', import.meta.url), 'utf8')));

const own = Object.entries(commands).filter(([, {pluginName}]) => pluginName === 'destino-db');
const flags = own.flatMap(([id, command]) =>
  Object.entries(command.flags)
    .filter(([, {hidden}]) => hidden !== true)
    .map(([name, flag]) => ({title: `${id} --${name}`, ...flag, text: flag.summary ?? ''})),
);
const argumentTexts = own.flatMap(([id, {args}]) =>
  Object.entries(args).map(([name, {description}]) => ({title: `${id} ${name}`, text: description})),
);

/** Words that begin neither with a verb nor with a noun. */
const notFirst =
  /^(?:A|An|The|This|These|All|Also|Both|Every|For|From|How|If|In|Into|Never|No|Not|Of|On|Only|So|That|What|When|Where|Whether|With|Without)\b/;

/** The titles of those that the rule catches. */
const caught = (
  texts: readonly {title: string; text: string}[],
  isWrong: (text: string) => boolean,
): string[] => texts.filter(({text}) => isWrong(text)).map(({title, text}) => `${title}: ${text}`);

describe('the text of every flag and argument', () => {
  const texts = [...flags, ...argumentTexts];

  it('is found', () => expect(texts.length).toBeGreaterThan(300));

  it('is a phrase that begins with a verb or a noun', () =>
    expect(caught(texts, (text) => !/^[A-Z]/.test(text) || notFirst.test(text))).toEqual([]));

  it('ends with a full stop, and says what is left out as a default', () => {
    expect(caught(texts, (text) => !text.endsWith('.'))).toEqual([]);
    expect(caught(texts, (text) => /the default\b|otherwise|unless given/i.test(text))).toEqual([]);
  });

  it('says the default in brackets, where there is one', () => {
    const withDefault = flags.filter(({allowNo, default: value}) => allowNo === true || value !== undefined);
    expect(withDefault.length).toBeGreaterThan(10);
    expect(caught(withDefault, (text) => !/[(; ]default: [^()]+\)/.test(text))).toEqual([]);
    const values = flags.filter(({default: value}) => typeof value === 'string');
    expect(values.filter(({text, default: value}) => !text.includes(`(default: ${String(value)})`))).toEqual(
      [],
    );
  });

  it('says that a flag can be given several times, and only then', () => {
    expect(flags.filter(({text, multiple}) => text.includes('(repeatable') !== (multiple === true))).toEqual(
      [],
    );
  });
});

it('every flag has one of the headings, and every command a summary of one line', () => {
  const headings = Object.values<string>(groups);
  expect(flags.filter(({helpGroup = ''}) => !headings.includes(helpGroup))).toEqual([]);
  const long = own.filter(
    ([, {summary = '', hidden}]) => hidden !== true && !/^[a-z].{10,56}[^.]$/.test(summary),
  );
  expect(long.map(([id, {summary}]) => `${id}: ${summary ?? ''}`)).toEqual([]);
});
