import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {advisoryKeys, withAdvisoryLock} from '../../src/lib/postgres/databases/advisory-lock.js';
import {withAppSession} from '../support/app-session.js';
import {
  formatOwnerComment,
  listDatabases,
  ownerCommentStatement,
  parseOwnerComment,
} from '../../src/lib/postgres/databases/owner-comment.js';
import {thisProcess} from '../../src/lib/base/process-identity.js';
import {
  clusterConnection,
  createTempDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';

describe('withAdvisoryLock', () => {
  it('excludes runs with the same purpose only on the same database, and names the session with the lock', async () => {
    const connection = clusterConnection();
    await withAppSession(connection, async (one) => {
      await withAppSession(connection, async (two) => {
        const change = {purpose: 'change', database: 'shop'} as const;
        await withAdvisoryLock(one, change, async () => {
          const attempt = withAdvisoryLock(two, change, () => Promise.resolve());
          await expect(attempt).rejects.toMatchObject({
            code: 'LOCKED',
            message: expect.stringContaining(`server process ${one.backendPid} from`) as string,
          });
          const others = [
            {purpose: 'backup', database: 'shop'},
            {purpose: 'change', database: 'blog'},
          ] as const;
          for (const other of others)
            expect(await withAdvisoryLock(two, other, () => Promise.resolve('free'))).toBe('free');
        });
        expect(await withAdvisoryLock(two, change, () => Promise.resolve('free'))).toBe('free');
      });
    });
  });

  it('waits for the other run, and gets the lock when its session ends', async () => {
    const connection = clusterConnection();
    const lock = {purpose: 'change', database: 'waited for', waitMs: 60_000} as const;
    let waiting: Promise<string> | undefined;
    await withAppSession(connection, async (one) => {
      await withAdvisoryLock(one, lock, () => {
        waiting = withAppSession(connection, (two) =>
          withAdvisoryLock(two, lock, () => Promise.resolve('got it')),
        );
        return Promise.resolve();
      });
    });
    expect(await waiting).toBe('got it');
  });

  it('has the documented keys', () => {
    expect(advisoryKeys('backup', 'shop')[0]).toBe(0x64737401);
    expect(advisoryKeys('change', 'shop')).toEqual([0x64737402, -1919942189]);
  });
});

describe('owner comments of databases', () => {
  let database: TempDatabase;
  beforeAll(async () => {
    database = await createTempDatabase('template0', `mark "quoted" 'x' ${Date.now()}`);
  });
  afterAll(async () => {
    await database.drop();
  });

  it('are found again on the server, for all names', async () => {
    const mark = {kind: 'staging', database: `shop's "own"`, at: '2026-11-22T03:10:00.000Z', owner: await thisProcess(), comment: "it's\nold"} as const; // prettier-ignore
    await onServer((session) => session.query(ownerCommentStatement(database.name, mark)));
    const listed = await onServer(listDatabases);
    expect(listed.find((one) => one.name === database.name)?.mark).toEqual(mark);
    expect(listed.find((one) => one.name === 'postgres')?.mark).toBeUndefined();
  });

  it('are not recognised in comments that people wrote', () => {
    for (const comment of [
      null,
      '',
      'destino-db staging',
      'destino-db staging {"a":1}',
      'see destino-db scratch {}',
    ]) {
      expect(parseOwnerComment(comment)).toBeUndefined();
    }
    const mark = {
      kind: 'set-aside',
      database: 'shop',
      at: '2026-11-22T03:10:00Z',
      owner: null,
      comment: null,
    } as const;
    expect(parseOwnerComment(formatOwnerComment(mark))).toEqual(mark);
  });
});
