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

const talking: readonly (readonly [Story, number])[] = isLong
  ? [[backup, 60], [verify, 60], [swap, 120], [undo, 40], [clean, 100], [putBack, 100]] // prettier-ignore
  : [
      [swap, 6],
      [clean, 4],
    ];

it.each(talking.map(([story, kills]) => [story.command, kills, story] as const))(
  '%s keeps its promises when it is killed at %i places as it talks to its server',
  async (_command, kills, story) => {
    const pieces = await countPieces(host, story);
    let killed = 0;
    for (let number = 0; number < kills; number += 1) {
      const fault = killedAtPiece(1 + Math.floor((number * pieces) / kills));
      const outcome = await suffer(host, story, fault, number);
      if (outcome === 'killed') killed += 1;
    }
    expect(killed).toBeGreaterThan(kills / 2); // formats differ in how much they say
    held.set(`talking ${story.command}`, [rowOf(story, killedAtPiece(1), killed)]);
  },
  1_800_000,
);

const ofFormat = (format: string): Story => ({...backup, command: `backup --format ${format}`});

/** With the round that decides about the format. */
const writing: readonly (readonly [Story, number])[] = isLong
  ? [
      [ofFormat('directory'), 0], [ofFormat('custom'), 1], [ofFormat('sql'), 2],
      [prune, 0], [copy, 0], [clean, 0], [swap, 0],
    ] // prettier-ignore
  : [];

it.each(writing.map(([story, round]) => [story.command, round, story] as const))(
  '%s (%i) keeps its promises when it is killed, or the disk is full, at each call that changes a file',
  async (_command, round, story) => {
    const runs = {killed: 0, ended: 0, 'not struck': 0};
    let calls = 0;
    for (let outcome = ''; outcome !== 'not struck'; calls += 1) {
      outcome = await suffer(host, story, fileCall('SIGKILL', calls + 1), round);
      runs[outcome as keyof typeof runs] += 1;
    }
    for (let call = 1; call < calls; call += 1) await suffer(host, story, fileCall('ENOSPC', call), round);
    expect(runs.killed).toBeGreaterThan(5);
    const rows = [
      rowOf(story, fileCall('SIGKILL', 1), runs.killed),
      rowOf(story, fileCall('ENOSPC', 1), calls - 1),
    ];
    const ofTools = rowOf(
      story,
      {...fileCall('SIGKILL', 1), name: 'tool killed (out of memory)'},
      runs.ended,
    );
    held.set(`writing ${story.command}`, runs.ended > 0 ? [...rows, ofTools] : rows);
  },
  1_800_000,
);

const expected = [
  ...talking.map(([{command}]) => `talking ${command}`),
  ...writing.map(([{command}]) => `writing ${command}`),
];
afterAll(() => writeHeld('sweep', expected, held));
