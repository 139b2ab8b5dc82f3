// Time must grow no faster than the data, and memory not at all.
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {withDatabase} from '../../dist/lib/postgres/connect/connection.js';
import {fill} from './data.mjs';

/** @param sizes multiples of a fifth of the scale: 20 MB at scale 1 */
export async function benchGrowth({onServer, connection, ours, note, work}, scale, sizes) {
  const samples = new Map();
  for (const times of sizes) {
    const database = `growth_${times}`;
    await onServer(`DROP DATABASE IF EXISTS ${database}`);
    await onServer(`CREATE DATABASE ${database}`);
    await fill(withDatabase(connection, database), 'dominating', (scale / 5) * times);
    await rm(join(work, 'backups'), {recursive: true, force: true});
    samples.set(`backup at ${times}x`, [await ours(['backup'], database)]);
    samples.set(`verify at ${times}x`, [await ours(['verify', '--latest'], database)]);
    samples.set(`restore at ${times}x`, [
      await ours(['restore', '--latest', `--target-db=${database}_r`, '--create-db', '--yes'], database),
    ]);
    await onServer(`DROP DATABASE ${database}_r`);
    await onServer(`DROP DATABASE ${database}`);
  }
  note('growth (ratios to the backup at 1x)', samples, 'backup at 1x');
}
