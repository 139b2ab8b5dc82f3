/** Loads test/fixtures/every-type.sql: every kind of object and value that a backup must contain. */
import {readFile} from 'node:fs/promises';
import type {TempDatabase} from './temp-database.js';

const file = new URL('../fixtures/every-type.sql', import.meta.url);

/** Objects are in the schemas "kinds" and 'Other "Schema"'; the server gets the role every_type_reader, which is not removed. */
export async function loadEveryType(database: TempDatabase): Promise<void> {
  await database.run(await readFile(file, 'utf8'));
}
