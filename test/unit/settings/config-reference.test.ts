/** The documentation of the config file matches its schema. */
import {readFile} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {configJsonSchema, configKeys, withTables} from '../../../src/lib/settings/config-reference.js';
import {parseConfig} from '../../../src/lib/settings/parse-config.js';

const page = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

it('explains every key of the config file', () => {
  expect(configKeys().filter((key) => key.description === undefined)).toEqual([]);
  expect(configKeys().map((key) => key.key)).toContain('retention.keepDays');
});

it('has an up-to-date table of keys in docs/configuration.md (npm run build writes it)', () => {
  expect(withTables(page)).toBe(page);
  for (const {key} of configKeys()) expect(page).toContain(`| \`${key}\` |`);
});

it('has a valid example in docs/configuration.md', () => {
  const example = /```json\n([^]*?)```/.exec(page)?.[1] ?? '';
  expect(parseConfig(example, 'docs/configuration.md').schedule?.plan).toHaveLength(3);
});

it('generates a JSON schema that refuses unknown keys, as the program does', () => {
  const schema = JSON.parse(configJsonSchema()) as {additionalProperties: unknown; properties: object};
  expect(schema.additionalProperties).toBe(false);
  expect(schema.properties).toHaveProperty('$schema');
});
