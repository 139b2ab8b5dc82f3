/** docs/faults.md: what the long form of the fault tests held. */
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

Written by the long form of the fault tests (\`npm run test:faults\`) from what it held:
**${runs()} faults**, among them **${runs(({fault}) => isKill(fault))} kills** of the program by SIGKILL
and ${runs(({fault}) => /SIGTERM|SIGINT/.test(fault))} interruptions by SIGTERM and SIGINT. \`npm test\` runs a short form.
${missing.length === 0 ? 'All of it passed.' : `Not held, or not run in the long form yet: ${missing.map((name) => name.replaceAll(' | ', ', ')).join('; ')}.`}

After each fault, and again after \`recover --yes\`, one checker (\`test/support/check-promises.ts\`) looks at the backups folder and the server:

- every backup that metadata tells is whole, byte by byte; the good backups of before are still there;
- every other name ends in \`.partial\`. Between the dump's rename and that of its metadata a kill leaves a whole dump whose metadata
  is still a \`.partial\`: no backup yet, not listed; \`recover\` reads every byte and finishes it;
- every database that was a target holds all of the old or all of the new content, digested by the server, and lets sessions in;
- rows of orders are gone only if an order backup that reads back whole holds as many; an order backup without its cleaning does no harm;
- the program ended by itself, with a stable error code, and a run that reported success had done all of its work;
- after a signal that can be caught, after an error, and after \`recover\`: no partial, no journal, no staging or scratch database, no session.
  (Where the server was down when the run ended, what lies there is cleared up by \`recover\`.)

## Every command times every fault

How often everything held. An empty field was not run: the fault cannot happen to that command, or is shown by its neighbours.

${matrix(rows, (row) => row.fault, 'fault')}

## Places between two steps

The program is stopped or made to fail at a point (\`src/lib/run/fault-points.ts\`); the last step done is in the point's name.

${places(inside)}

## From outside

${places(outside)}

## Two at a time

While writers changed the shop, each of these pairs ran at once: every acknowledged write was still there afterwards, what a backup took was one moment,
and nothing ended in a deadlock: ${pairs.join(', ')}.

## Damages

Each bit flip and each cut of a backup was refused by \`verify\` and by \`restore\`, with exit status 4 and no database made.

| format | bits flipped | cuts | held |
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
    'command | place',
  );
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
