/** vitest global setup: after a whole long run, writes what was held to docs/faults.md. */
import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

/** One line of the table: a fault at a point of a command, and how often everything held. */
export interface FaultRow {
  readonly command: string;
  readonly point: string;
  readonly fault: string;
  readonly runs: number;
  /** Whether the file's run came to its end without a failure. */
  readonly isWhole: boolean;
}

export const isLong = process.env['DESTINO_TEST_FAULTS'] === 'long';
export const tableFolder = fileURLToPath(new URL('../../test-results/faults/', import.meta.url));
const page = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));
const files = ['backups.json', 'databases.json', 'orders.json'];

export async function setup(): Promise<void> {
  await rm(tableFolder, {recursive: true, force: true});
}

export async function teardown(): Promise<void> {
  const names = await readdir(tableFolder).catch((): string[] => []); // no file of these tests was run
  const rows: FaultRow[] = [];
  for (const name of names.sort())
    rows.push(...(JSON.parse(await readFile(tableFolder + name, 'utf8')) as FaultRow[]));
  const isWhole = files.every((name) => names.includes(name)) && rows.every((row) => row.isWhole);
  if (isWhole && (isLong || process.env['DESTINO_TEST_FAULTS'] === 'table'))
    await writeFile(page, describeRows(rows));
}

function describeRows(rows: readonly FaultRow[]): string {
  const faults = [...new Set(rows.map((row) => row.fault))];
  const places = new Map(rows.map((row) => [`${row.command} | ${row.point}`, row]));
  const runsOf = (wanted: (row: FaultRow) => boolean): number =>
    rows.filter(wanted).reduce((sum, row) => sum + row.runs, 0);
  const lines = [...places].map(([place, {command, point}]) => {
    const cells = faults.map((fault) => {
      const runs = runsOf((row) => row.command === command && row.point === point && row.fault === fault);
      return runs === 0 ? '' : `${runs} held`;
    });
    return `| ${place} | ${cells.join(' | ')} |`;
  });
  return `# Faults

Written by the ${isLong ? 'long' : 'short'} form of the fault tests (\`npm run test:faults\` runs the long one), from the run that made these numbers:
${runsOf((row) => row.fault.startsWith('SIG'))} runs stopped by a signal, ${runsOf((row) => row.fault === 'SIGKILL')} of them by SIGKILL, and ${runsOf((row) => row.fault.startsWith('error'))} that were made to fail. Each line is a place between two steps
(\`src/lib/fault-points.ts\`); the last step done is in the point's name. An empty field was not run.

After each fault, and again after \`recover --yes\`, one checker (\`test/support/check-promises.ts\`) looks at the backups folder and the server:

- every backup that metadata tells is whole, byte by byte; the good backups of before are still there;
- every other name ends in \`.partial\`. Between the dump's rename and that of its metadata a kill leaves a whole dump without metadata, which is
  no backup, is not listed, and is removed by \`recover\`;
- every database that was a target holds all of the old or all of the new content, digested by the server, and lets sessions in;
- rows of orders are gone only if an order backup that reads back whole holds as many; an order backup without its cleaning does no harm;
- after a signal that can be caught, after an error, and after \`recover\`: no partial, no journal, no staging or scratch database;
- a run that reported success had done all of its work.

| command | point | ${faults.join(' | ')} |
|---|---|${'---|'.repeat(faults.length)}
${lines.join('\n')}
`;
}
