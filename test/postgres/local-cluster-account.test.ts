/** The account of a server that this program starts, because restored code can run programs as that account. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {serverBinFolders, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';

const isRoot = process.getuid?.() === 0;
const installed = await serverBinFolders();

/** The account of programs that the server starts: "61890 61890". */
async function accountOf(binFolder: string): Promise<{account: string; owner: number; mode: number}> {
  const cluster = await startLocalCluster({binFolder});
  try {
    return await withSession(cluster.connection, async (session) => {
      await session.query('CREATE TEMP TABLE seen (account text)');
      await session.query(`COPY seen FROM PROGRAM 'echo $(id -u) $(id -G)'`);
      const [row] = await session.query('SELECT account FROM seen');
      const {uid, mode} = await stat(join(cluster.folder, 'data'));
      return {account: row?.['account'] ?? '', owner: uid, mode: mode & 0o777};
    });
  } finally {
    await cluster.stop();
  }
}

it.each(installed)(
  'a local server of PostgreSQL $major never runs as an account that owns anything else',
  async ({folder}) => {
    const {account, owner, mode} = await accountOf(folder);
    const [user, ...groups] = account.split(' ');
    expect(mode).toBe(0o700);
    expect(String(owner)).toBe(user);
    if (!isRoot) {
      expect(user).toBe(String(process.getuid?.()));
      return;
    }
    expect(groups).toEqual([user]);
    const taken = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':')[2]);
    expect(taken).not.toContain(user);
  },
);
