/** Replaces the content of a database that cannot be swapped by a masked copy, in one transaction after a safety backup. */
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import {defined} from '../../base/defined.js';
import {messageOf} from '../../base/errors.js';
import {shellCommand} from '../../base/shell-quote.js';
import type {MaskRules} from '../../masks/mask-rules.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {
  formatMaskedComment,
  inspectComment,
  type MaskedTag,
  withoutMaskedTag,
} from '../../postgres/inspect/masked-comment.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import type {RunContext} from '../../run/run-context.js';
import {restoreDatabase, type RestoreResult} from '../restore/execute.js';
import type {RestoreRequest} from '../restore/options.js';
import type {RestoreSource} from '../restore/source.js';
import {settingsOfTarget, type TargetRequest} from './target.js';

export interface InPlace {
  readonly target: Connection;
  /** The backup, whose definitions the masked dump has. */
  readonly source: RestoreSource;
  /** The masked dump. */
  readonly file: {readonly folder: string; readonly name: string};
  readonly rules: MaskRules;
  readonly tag: Omit<MaskedTag, 'comment'>;
  readonly checkCommand: RestoreRequest['checkCommand'];
}

/** @param request flags that a restore has too @throws the errors of `restoreDatabase`; the target is unchanged after them */
export async function restoreInPlace(
  context: RunContext,
  request: TargetRequest & Pick<RestoreRequest, 'roles' | 'allowOwnerChange' | 'waitMs' | 'lockWaitMs'>,
  {target, source, file, rules, tag, checkCommand}: InPlace,
): Promise<RestoreResult> {
  const ofTarget: RunContext = {
    ...context,
    settings: settingsOfTarget(context.settings, request, target),
    // The question of the refresh was about this as well.
    confirm: () => Promise.resolve(),
    checkName: () => undefined,
  };
  const {roles, allowOwnerChange, waitMs, lockWaitMs} = request;
  const masked = rules.columns.flatMap(({table, mask}) => (mask.mask === 'keep' ? [] : [table]));
  const result = await restoreDatabase(
    ofTarget,
    defined<RestoreRequest>({
      backupFile: source.id,
      clean: true,
      roles,
      allowOwnerChange,
      waitMs,
      lockWaitMs,
      checkCommand,
      replacedRows: [...masked, ...rules.emptied.map(({table}) => table)],
    }),
    await describeMasked(source, file, tag),
  );
  await tagMasked(context, target, tag);
  return result;
}

/** The masked dump as a backup with the facts of the unmasked one, apart from its rows and the settings of its database. */
async function describeMasked(
  source: RestoreSource,
  {folder, name}: InPlace['file'],
  tag: InPlace['tag'],
): Promise<RestoreSource> {
  const path = join(folder, name);
  const {size} = await stat(path);
  const {id, backup, createdAt, dump} = source;
  const record = backup?.record;
  return {
    id,
    path,
    createdAt,
    sizeBytes: size,
    dump: {
      ...dump,
      path,
      format: 'sql',
      compressed: true,
      archiveVersion: null,
      remote: {
        sizeBytes: size,
        command: shellCommand(['cat', path]),
        open: () => createReadStream(path),
        isUnchecked: true,
      },
    },
    backup:
      backup && record
        ? {
            ...backup,
            path,
            format: 'sql',
            compressed: true,
            record: {
              ...record,
              format: 'sql',
              compressed: true,
              tables: record.tables.map((table) => ({...table, rows: null, fingerprint: null})),
              inventory: {
                ...record.inventory,
                masked: tag,
                // Settings of production can be secrets.
                databaseSettings: [],
                databaseComment: null,
              },
            },
          }
        : backup,
  };
}

async function tagMasked(context: RunContext, target: Connection, tag: InPlace['tag']): Promise<void> {
  const {database} = target;
  try {
    await withSession(
      target,
      async (session) => {
        const comment = withoutMaskedTag(await inspectComment(session, database));
        await session.query(
          `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(formatMaskedComment({...tag, comment}))}`,
        );
      },
      {signal: context.signal},
    );
  } catch (error) {
    context.signal.throwIfAborted();
    context.warn(
      `The comment of "${database}" does not say that it is masked, so its backups are not recorded as masked: ${messageOf(error)}`,
    );
  }
}
