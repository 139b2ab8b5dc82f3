/** Build step: writes the config file's JSON schema into dist and the tables of keys and variables into the documentation. */
import {readFile, writeFile} from 'node:fs/promises';
import {configJsonSchema, withTables} from './config-reference.js';

const root = new URL('../../../', import.meta.url);
await writeFile(new URL('dist/config.schema.json', root), configJsonSchema());
const page = new URL('docs/configuration.md', root);
const text = await readFile(page, 'utf8');
if (withTables(text) !== text) await writeFile(page, withTables(text));
