import {expect, it} from 'vitest';
import {collectDumpNeeds} from '../../../src/lib/dump/dump-needs.js';

it('names the roles of policies and of user mappings, without which neither can be made', () => {
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
