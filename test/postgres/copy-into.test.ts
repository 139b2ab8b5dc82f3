/** Rows that are sent to the server: its errors about them are reported, whenever they arrive. */
import {setImmediate} from 'node:timers/promises';
import {expect, it} from 'vitest';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {beginCopy, type CopyInput} from '../../src/lib/postgres/copy-into.js';
import {clusterConnection} from '../support/temp-database.js';

async function intoNumbers(work: (input: CopyInput, session: Session) => Promise<void>): Promise<void> {
  await withAppSession(clusterConnection(), async (session) => {
    await session.query('CREATE TEMP TABLE numbers (number int)');
    await work(await beginCopy(session, 'COPY numbers FROM STDIN'), session);
  });
}

const refused = {code: 'QUERY_FAILED', message: expect.stringContaining('invalid input syntax') as string};

it.each([
  ['a byte', 1],
  ['more than is held back at once', 1 << 20],
])('a row that the server refuses is reported by a later write of %s', async (_what, bytes) => {
  await intoNumbers(async (input, session) => {
    await input.write(Buffer.from('x\n'));
    const writeOn = async (): Promise<never> => {
      for (;;) {
        await setImmediate(); // the server's answer arrives between two writes
        await input.write(Buffer.alloc(bytes, '\n'));
      }
    };
    await expect(writeOn()).rejects.toMatchObject(refused);
    await expect(input.end()).rejects.toMatchObject(refused);
    await input.abandon();
    expect(await session.query('SELECT count(*) FROM numbers')).toEqual([{count: '0'}]);
  });
});

it('rows arrive complete, even if the server reads slowly', async () => {
  await intoNumbers(async (input, session) => {
    for (let part = 0; part < 50; part += 1) await input.write(Buffer.from('12345\n'.repeat(20_000)));
    await input.end();
    expect(await session.query('SELECT count(*) FROM numbers')).toEqual([{count: '1000000'}]);
  });
});
