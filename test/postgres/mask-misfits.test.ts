/** Rules that do not fit the tables of a backup: all of them are refused in one error, before anything is restored. */
import {createReadStream} from 'node:fs';
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {qualifiedName} from '../../src/lib/base/qualified-name.js';
import {readDefinitions} from '../../src/lib/dump/dump-definitions.js';
import type {MaskRules} from '../../src/lib/masks/mask-rules.js';
import {findMisfits, readDatabaseTables} from '../../src/lib/masks/plan-masks.js';
import {tablesOfDump} from '../../src/lib/masks/tables-of-dump.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import type {ColumnMask, MasksConfig} from '../../src/lib/settings/mask-config.js';
import {loadEveryType} from '../support/every-type.js';
import {cases} from '../support/long-form.js';
import {makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, existingDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'misfits_staging';
let folder: string;
let production: TempDatabase;

const schema = `
  CREATE EXTENSION citext;
  CREATE DOMAIN mail AS varchar(80) CHECK (VALUE LIKE '%@%');
  CREATE DOMAIN short_mail AS mail NOT NULL;
  CREATE TYPE mood AS ENUM ('happy', 'sad');
  CREATE TABLE "Person" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(60) NOT NULL UNIQUE, login citext, contact mail,
    other short_mail, initials char(3), moods mood[], mood mood DEFAULT 'sad' NOT NULL, zip varchar(5)[], born date, seen timestamptz(3), salary numeric(8, 2),
    "Long Name" text DEFAULT 'a NOT NULL', head text GENERATED ALWAYS AS (left("Long Name", 2)) STORED);
  CREATE UNIQUE INDEX ON "Person" (login);
  CREATE TABLE purchase (id serial PRIMARY KEY, buyer varchar(60) REFERENCES "Person" (email), first text, last text, UNIQUE (first, last));
  CREATE TABLE log (at date NOT NULL, who text) PARTITION BY RANGE (at);
  CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE animal (name text); CREATE TABLE dog (rank int) INHERITS (animal);
  INSERT INTO "Person" (email, other) VALUES ('anna@people.example', 'a@people.example')`;

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(schema);
  await backupDatabase(testContext(folder, {settings: {databaseUrl: production.url}}), {format: 'custom'});
});

afterAll(async () => {
  await production.drop();
  await rm(folder, {recursive: true, force: true});
});

const everyMask: readonly ColumnMask[] = [
  {mask: 'keep', reason: 'a test'},
  ...(['null', 'hash', 'email', 'name', 'phone', 'address', 'text', 'date', 'number'] as const).map((mask) => ({mask})),
  {mask: 'constant', value: 'x'},
  {mask: 'json', paths: {'$.a': 'hash'}},
]; // prettier-ignore

const schemas: readonly (readonly [string, (database: TempDatabase) => Promise<void>])[] = [
  ['keys, domains, partitions and quoted names', (database) => database.run(schema)],
  ['every type', loadEveryType],
];

it.each(cases(schemas))(
  'are the same for the definitions of a dump as for the restored database: %s',
  async (_what, load) => {
    const database = await createTempDatabase('template0');
    try {
      await load(database);
      const live = await withSession(database.connection, readDatabaseTables);
      const {path} = await makeDump(database.connection, folder, 'sql');
      const dumped = tablesOfDump(await readDefinitions(createReadStream(path)));
      const described = new Set(dumped.all.map(qualifiedName));
      expect(described.size).toBeGreaterThan(2);
      const columns = live.all
        .filter((table) => described.has(qualifiedName(table)))
        .flatMap((table) => table.columns.map(({name: column}) => ({table, column, isBuiltIn: false})));
      const misfits = (tables: typeof live, rules: MaskRules): string[] =>
      findMisfits(rules, tables).map(({code, message}) => `${code} ${message}`).toSorted(); // prettier-ignore
      let found = 0;
      for (const column of columns)
        for (const mask of everyMask) {
          const rules = {columns: [{...column, mask}], emptied: []};
          const ofDump = misfits(dumped, rules);
          expect(ofDump).toEqual(misfits(live, rules));
          found += ofDump.length;
        }
      expect(found).toBeGreaterThan(columns.length);
    } finally {
      await database.drop();
    }
  },
);

it.each([true, false])('stop refresh, all at once and before the restore (preview: %s)', async (dryRun) => {
  const masks: MasksConfig = {
    'public.nobody.email': {mask: 'email'},
    'public.Person.nothing': {mask: 'hash'},
    'public.Person.email': {mask: 'email'},
    'public.Person.initials': {mask: 'email'},
    'public.Person.born': {mask: 'phone'},
    'public.Person.head': {mask: 'text'},
    'public.Person.login': {mask: 'text'},
    'public.log.at': {mask: 'date'},
  };
  const context = testContext(folder, {
    env: {STAGING_URL: existingDatabase(target).url},
    settings: {databaseUrl: production.url, config: {masks}},
  });
  await expect(refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 1, dryRun})).rejects.toMatchObject({
    code: 'MASK_REFUSED',
    message: '8 rules of the masks do not fit. Nothing was masked.',
    details: [
      'The config names masks for public.nobody, which is not a table of the backup. See masks in the config file.',
      'The masks name public.Person.nothing, but the database has no such column. Correct the name under "masks" in the config file, or remove the rule.',
      'The mask "email" of public.Person.initials does not fit: the mask needs 23 characters and the column takes 3. Use text.',
      'The mask "phone" of public.Person.born does not fit: the mask does not fit the type date. Use date, null, constant or sql.',
      'The server computes public.Person.head, so it cannot be masked. Mask the columns that it is computed from.',
      'The mask "text" of public.Person.login does not fit: masked values of a unique column could be the same. Use hash or email.',
      'The mask "date" of public.log.at does not fit: the column decides the partition of a row.',
      expect.stringMatching(/^The mask "email" of public.Person.email does not fit: the foreign key "purchase_buyer_fkey"/),
    ],
  }); // prettier-ignore
  const left = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  expect(left).toEqual([]);
});
