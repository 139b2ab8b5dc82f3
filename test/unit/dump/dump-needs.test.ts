import {expect, it} from 'vitest';
import {collectDumpNeeds} from '../../../src/lib/dump/dump-needs.js';

it('lists the roles of policies and user mappings, which cannot be created without them', () => {
  const {read, needs} = collectDumpNeeds();
  for (const line of [
    'CREATE POLICY own ON public.orders TO app, "Odd ""role" USING (true);',
    'CREATE USER MAPPING FOR reporter SERVER warehouse OPTIONS (',
    'CREATE USER MAPPING FOR "Night Shift" SERVER warehouse;',
    'CREATE USER MAPPING FOR PUBLIC SERVER warehouse;',
  ])
    read(line);
  expect(needs().policyRoles).toEqual(['Night Shift', 'Odd "role', 'app', 'reporter']);
});
