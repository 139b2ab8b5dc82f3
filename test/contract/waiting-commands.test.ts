/** schedule writes --wait for exactly the commands that have the flag. */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {z} from 'zod';
import {canWait} from '../../src/lib/base/recorded-commands.js';

const manifest = z
  .object({commands: z.record(z.string(), z.object({flags: z.record(z.string(), z.unknown())}))})
  .parse(
    JSON.parse(readFileSync(fileURLToPath(new URL('../../oclif.manifest.json', import.meta.url)), 'utf8')),
  );

it('a command can wait if it has the flag --wait, and only then', () => {
  const commands = Object.entries(manifest.commands);
  expect(commands.filter(([id]) => canWait(id)).map(([id]) => id)).toEqual(
    commands.filter(([, {flags}]) => 'wait' in flags).map(([id]) => id),
  );
});
