/** Checks the configured locations and encryption; returns nothing if neither is configured. */
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {allPlaces} from '../../settings/sources.js';
import {checkRecipients, readOpeningKeys} from '../../encryption/age-keys.js';
import {openPlace} from '../../storage/open-place.js';
import {readPlace} from '../../storage/place-catalogue.js';
import {countOf} from '../../base/format.js';
import {isGood} from '../../catalog/catalogue.js';
import {requireOpening} from '../../storage/try-keys.js';
import {keysOf, requireFittingIdentity} from '../../encryption/settings.js';
import {type Check, failed, failedBy, passed} from './check.js';

export async function checkPlaces(ctx: RunContext): Promise<Check[]> {
  const {encryption} = ctx.settings.config;
  const checks: Check[] = [];
  for (const name of allPlaces(ctx.settings.config)) checks.push(await checkPlace(ctx, name));
  const recipients = encryption?.recipients ?? [];
  if (recipients.length > 0) checks.push(await checkRecipientKeys(recipients));
  if (encryption?.identityFile !== undefined || encryption?.passphraseFile !== undefined) {
    checks.push(
      await checked(
        'identity',
        async () => {
          const {identities} = await readOpeningKeys(ctx.settings.cwd, encryption);
          if (recipients.length > 0) await requireFittingIdentity(recipients, identities);
        },
        'the keys that open backups can be read',
      ),
    );
  } else if (recipients.length > 0) checks.push(noKeyHere(encryption?.local ?? true));
  return checks;
}

async function checkPlace(ctx: RunContext, name: string): Promise<Check> {
  try {
    const place = await openPlace(ctx.settings, name);
    const {backups} = await readPlace(place, ctx.signal);
    await place.checkWritable();
    const newest = backups.find(isGood);
    if (newest) await requireOpening(place, newest.record, await keysOf(ctx, {}));
    return passed('place', `${place.url} answers and can be written: ${countOf(backups.length, 'backup')}`);
  } catch (error) {
    ctx.signal.throwIfAborted();
    return failedBy('place', error, 'Check storage in the config file.', false);
  }
}

async function checkRecipientKeys(recipients: readonly string[]): Promise<Check> {
  const form = await checked('recipients', () => checkRecipients(recipients), '');
  if (!form.ok) return form;
  if (new Set(recipients).size > 1)
    return passed('recipients', `${recipients.length} keys can decrypt the backups`);
  return failed(
    'recipients',
    'Backups are encrypted to one key only: without it they are lost.',
    'Create a second key pair (age-keygen -o spare.txt), store it elsewhere, and add its public key to encryption.recipients.',
    false,
  );
}

/** Not a problem, because the key belongs elsewhere; the message names the consequence for this machine. */
function noKeyHere(isLocal: boolean): Check {
  const what = isLocal ? 'backups' : 'copies';
  return passed(
    'identity',
    `this machine has no key for the ${what}: verify (beyond checksums) and restore need --identity FILE`,
  );
}

async function checked(name: string, work: () => Promise<unknown>, message: string): Promise<Check> {
  try {
    await work();
    return passed(name, message);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return failedBy(name, error, 'Check encryption in the config file.');
  }
}
