/** Kills and failing calls one after the other through a whole run, between and inside the steps. */
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {type FaultServer, startFaultServer} from '../support/fault-server.js';
import {backupSituations, databaseSituations, orderSituations} from '../support/fault-situations.js';
import type {Fault, Story} from '../support/fault-story.js';
import {suffer} from '../support/fault-story.js';
import {type FaultRow, isLong, writeHeld} from '../support/fault-table.js';
import {countPieces, fileCall, killedAtPiece} from '../support/outside-faults.js';

let host: FaultServer;
let backups: Awaited<ReturnType<typeof backupSituations>>;
let databases: Awaited<ReturnType<typeof databaseSituations>>;
let orders: Awaited<ReturnType<typeof orderSituations>>;
beforeAll(async () => {
  host = await startFaultServer();
  backups = await backupSituations(host);
  databases = await databaseSituations(host);
  orders = await orderSituations(host);
});
beforeEach(() => host.reset({shop: 'small_template'}));
afterAll(async () => {
  for (const situations of [backups, databases, orders]) await situations.end();
  await host.stop();
});

const backup: Story = {command: 'backup', prepare: (...of) => backups.prepare.backup(...of)};
const verify: Story = {command: 'verify --level restore', prepare: (...of) => backups.prepare.verify(...of)};
const prune: Story = {command: 'prune', prepare: (...of) => backups.prepare.prune(...of)};
const copy: Story = {command: 'copy', prepare: (...of) => backups.prepare.copy(...of)};
const swap: Story = {
  command: 'restore --drop-existing',
  prepare: (...of) => databases.prepare['restore over'](...of),
};
const undo: Story = {command: 'undo', prepare: (...of) => databases.prepare.undo(...of)};
const clean: Story = {command: 'orders:clean', prepare: (...of) => orders.prepare.clean(...of)};
const putBack: Story = {
  command: 'orders:restore',
  prepare: (...of) => orders.prepare['restore orders'](...of),
};

const held = new Map<string, FaultRow[]>();

function rowOf({command}: Story, {at, name}: Fault, runs: number): FaultRow {
  return {command, point: at, fault: name, runs};
}

/** Long tests are divided into parts, so that each can run separately. */
function inParts<Row extends readonly [Story, ...unknown[]]>(rows: readonly Row[], parts: number) {
  return rows.flatMap((row) =>
    Array.from({length: parts}, (_, index) => ({row, part: index + 1, name: `${row[0].command} ${index + 1}/${parts}`})),
  ); // prettier-ignore
}

/** Part by part, a third of the positions, distributed over the whole run. */
const parts = isLong ? 3 : 1;

/** The round with the kills of one part. */
const talking: readonly (readonly [Story, number])[] = isLong
  ? [[backup, 20], [verify, 20], [swap, 40], [undo, 14], [clean, 35], [putBack, 35]] // prettier-ignore
  : [
      [swap, 3],
      [clean, 2],
    ];
const talkingParts = inParts(talking, parts);

it.each(talkingParts.map(({row, part, name}) => [name, row[1], row[0], part] as const))(
  'network %s: every promise is kept when it is killed at %i positions of its communication with the server',
  async (name, kills, story, part) => {
    const pieces = await countPieces(host, story, part - 1);
    const places = kills * parts;
    let killed = 0;
    for (let number = part - 1; number < places; number += parts) {
      const fault = killedAtPiece(1 + Math.floor((number * pieces) / places));
      const outcome = await suffer(host, story, fault, number);
      if (outcome === 'killed') killed += 1;
    }
    expect(killed).toBeGreaterThan(kills / 2); // The formats of the short form differ in how much they send.
    held.set(`talking ${name}`, [rowOf(story, killedAtPiece(1), killed)]);
  },
  1_800_000,
);

const ofFormat = (format: string): Story => ({...backup, command: `backup --format ${format}`});

/** The round that decides about the format. */
const writing: readonly (readonly [Story, number])[] = isLong
  ? [
      [ofFormat('directory'), 0], [ofFormat('custom'), 1], [ofFormat('sql'), 2],
      [prune, 0], [copy, 0], [clean, 0], [swap, 0],
    ] // prettier-ignore
  : [];
const writingParts = inParts(writing, parts);

it.each(writingParts.map(({row, part, name}) => [name, row[1], row[0], part] as const))(
  'killed %s: every promise is kept when it is killed at each call that changes a file (round %i)',
  async (name, round, story, part) => {
    const {killed, ended} = await atEachCall('SIGKILL', story, round, part);
    expect(killed).toBeGreaterThan(0);
    const kills = rowOf(story, fileCall('SIGKILL', 1), killed);
    held.set(`killed ${name}`, [kills, {...kills, fault: 'tool killed (out of memory)', runs: ended}]);
  },
  1_800_000,
);

it.each(writingParts.map(({row, part, name}) => [name, row[1], row[0], part] as const))(
  'full disk %s: every promise is kept when the disk is full at each call that changes a file (round %i)',
  async (name, round, story, part) => {
    const {ended} = await atEachCall('ENOSPC', story, round, part);
    expect(ended).toBeGreaterThan(0);
    held.set(`full disk ${name}`, [rowOf(story, fileCall('ENOSPC', 1), ended)]);
  },
  1_800_000,
);

/** Counts the results of the faults at a part's calls, until a run has no such call any more. */
async function atEachCall(happens: 'SIGKILL' | 'ENOSPC', story: Story, round: number, part: number) {
  const runs = {killed: 0, ended: 0, 'not struck': 0};
  for (let call = part; runs['not struck'] === 0; call += parts)
    runs[await suffer(host, story, fileCall(happens, call), round)] += 1;
  return runs;
}

const expected = [
  ...talkingParts.map(({name}) => `talking ${name}`),
  ...writingParts.flatMap(({name}) => [`killed ${name}`, `full disk ${name}`]),
];
afterAll(() => writeHeld('sweep', expected, held));
