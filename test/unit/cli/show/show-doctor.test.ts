/** The findings of doctor: a required check that failed must not look like a hint. */
import {expect, it} from 'vitest';
import {showDoctor} from '../../../../src/lib/cli/show/show-doctor.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {failed, passed} from '../../../../src/lib/services/doctor/check.js';

it('prints the fix below a failed check, and the commands that do not work because of it', () => {
  const checks = [
    passed('url', 'a URL'),
    failed('pg_dump', 'It is not there.', 'apt-get install postgresql-client'),
    failed('create-databases', 'The role may not.', 'ALTER ROLE shop CREATEDB', false),
  ];
  const lines = showDoctor(
    {
      ok: false,
      checks,
      settings: [{name: 'database', value: 'shop', origin: 'DIRECT_URL'}],
      commands: [
        {command: 'list', works: true, because: []},
        {command: 'backup', works: false, because: ['pg_dump']},
      ],
    },
    createStyle(false, {}),
  );
  expect(lines).toEqual([
    'ok    url               a URL',
    'FAIL  pg_dump           It is not there.',
    '                        Fix: apt-get install postgresql-client',
    'warn  create-databases  The role may not.',
    '                        Fix: ALTER ROLE shop CREATEDB',
    '',
    'Settings',
    '  database  shop  DIRECT_URL',
    '',
    'Commands that will work',
    '  list    yes',
    '  backup  no: pg_dump',
    '',
    '1 needed check failed; fix it, then run doctor again.',
  ]);
});
