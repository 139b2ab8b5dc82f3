/** docs/file-formats.md names every key and kind that the program writes. */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {backupRecordSchema} from '../../src/lib/catalog/backup-record.js';
import {orderBackup, rowUndo} from '../../src/lib/rows/file/format.js';
import {processIdentitySchema} from '../../src/lib/base/process-identity.js';
import {journalEntrySchema} from '../../src/lib/run/journal.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/file-formats.md', import.meta.url)), 'utf8');

/** Words formatted as code below the heading. */
function namedBelow(heading: string): Set<string> {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return new Set([...section.matchAll(/`([\w-]+)`/g)].map(([, word = '']) => word));
}

it.each([
  ['Metadata', Object.keys(backupRecordSchema.shape)],
  ['Metadata', Object.keys(backupRecordSchema.shape.config.shape)],
  ['Metadata', Object.keys(backupRecordSchema.shape.source.shape)],
  ['Metadata', Object.keys(backupRecordSchema.shape.tables.element.shape)],
  ['Metadata', Object.keys(backupRecordSchema.shape.proofs.element.shape)],
  ['Order backups', Object.keys(orderBackup.shape)],
  ['Order backups', Object.keys(rowUndo.shape)],
  ['Journal and locks', journalEntrySchema.options.map(({shape}) => shape.kind.value)],
  ['Journal and locks', Object.keys(processIdentitySchema.shape)],
])('%s: %j', (heading, keys) => {
  const named = namedBelow(heading);
  expect(keys.length).toBeGreaterThan(3);
  expect(keys.filter((key) => !named.has(key))).toEqual([]);
});
