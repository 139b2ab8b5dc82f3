/** docs/faults.md: the results of the long form of the fault tests. */
import type {Damages, FaultRow} from './fault-table.js';

export interface Held {
  /** In the order of the table. */
  readonly rows: readonly FaultRow[];
  readonly damages: Damages;
  /** Commands that ran two at a time, "backup and swap". */
  readonly pairs: readonly string[];
  /** Tests of the long form that have not passed, or not been run. */
  readonly missing: readonly string[];
}

export function describeHeld({rows, damages, pairs, missing}: Held): string {
  const runs = (wanted: (row: FaultRow) => boolean = () => true): number =>
    rows.filter(wanted).reduce((sum, row) => sum + row.runs, 0);
  const inside = rows.filter(({point}) => /^[a-z-]+\.[a-z-]+$/.test(point));
  const outside = rows.filter((row) => !inside.includes(row));
  return `# Faults

How the program is killed, interrupted and cut off in tests, and how often its promises were kept. \`npm run test:faults\`, the long form of these tests, writes this page; \`npm test\` runs a short form.
The last long run caused **${runs()} faults**, among them **${runs(({fault}) => isKill(fault))} kills** of the program by SIGKILL
and ${runs(({fault}) => /SIGTERM|SIGINT/.test(fault))} interruptions by SIGTERM and SIGINT.
${missing.length === 0 ? 'All of it passed.' : `Failed, or not run in the long form yet: ${missing.map((name) => name.replaceAll(' | ', ', ')).join('; ')}.`}

After each fault, and again after \`recover --yes\`, one program (\`test/support/check-promises.ts\`) checks the backups folder and the server:

- Every backup with metadata is intact, byte by byte. The usable backups from before still exist.
- Every other name ends in \`.partial\`. A kill between the renames of the dump and of its metadata leaves a complete dump whose metadata
  is still a \`.partial\`. It is not a backup yet and is not listed; \`recover\` reads every byte and finishes it.
- Every database that was a target contains all of the old or all of the new content, digested by the server, and accepts sessions.
- Rows of orders are only gone if an intact order backup contains as many. An order backup without its cleaning does no harm.
- The program ended without help, with a stable error code, and a run that reported success had done all of its work.
- After a signal that can be caught, after an error, and after \`recover\`, there is no partial file, no journal, no staging or scratch database and no session.
  (If the server was down when the run ended, \`recover\` removes the leftovers there.)

## Every command times every fault

How often all promises were kept. An empty field was not run: the fault cannot happen to that command, or its neighbours show it.

${matrix(rows, (row) => row.fault, 'fault')}

## Checkpoints between two steps

The program is stopped, or fails, at a checkpoint (\`src/lib/run/fault-points.ts\`). The checkpoint's name contains the last finished step.

${places(inside)}

## From outside

${places(outside)}

## Two at a time

While writers changed the shop, each of these pairs ran at the same time. Afterwards every acknowledged write still existed, each backup contained one moment,
and nothing ended in a deadlock. The pairs: ${pairs.join(', ')}.

## Damages

\`verify\` and \`restore\` refused each bit flip and each cut of a backup, with exit status 4 and without creating a database.

| format | bits flipped | cuts | refused |
|---|---|---|---|
${Object.entries(damages)
  .map(([kind, {flips, cuts}]) => `| ${kind} | ${flips} | ${cuts} | ${flips + cuts} of ${flips + cuts} |`)
  .join('\n')}
`;
}

const isKill = (fault: string): boolean => fault.startsWith('SIGKILL');

/** A row for each fault, a column for each command. */
function matrix(rows: readonly FaultRow[], nameOf: (row: FaultRow) => string, title: string): string {
  const commands = unique(rows.map(({command}) => command));
  const lines = unique(rows.map(nameOf)).map((name) => {
    const cells = commands.map((command) => {
      const runs = rows
        .filter((row) => row.command === command && nameOf(row) === name)
        .reduce((sum, row) => sum + row.runs, 0);
      return runs === 0 ? '' : String(runs);
    });
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  return [
    `| ${title} | ${commands.join(' | ')} |`,
    `|${'---|'.repeat(title.split(' | ').length + commands.length)}`,
    ...lines,
  ].join('\n');
}

function places(rows: readonly FaultRow[]): string {
  return matrix(
    rows.map((row) => ({...row, command: row.fault, fault: `${row.command} | ${row.point}`})),
    (row) => row.fault,
    'command | point',
  );
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
