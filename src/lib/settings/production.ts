/** Recognises a production target, whatever the spelling of its host. */
import {lookup} from 'node:dns/promises';
import {isIP} from 'node:net';
import {networkInterfaces} from 'node:os';
import {setTimeout as delay} from 'node:timers/promises';
import {systemErrorCode} from '../base/errors.js';
import type {Settings} from './settings.js';

export interface ProductionTarget {
  /** Host name, address, or the folder of a unix socket. */
  readonly host: string;
  readonly database: string;
  /** libpq's keywords; `hostaddr` is the address that is used. */
  readonly options?: Readonly<Record<string, string>>;
  /** Behind an SSH server, "localhost" is that server. */
  readonly sshTunnel?: {readonly host: string};
}

/**
 * True if NODE_ENV is "production", or the config lists the host or the database under `production`. Two hosts are the same if
 * their names are equal (ignoring case and a trailing dot) or they share an address; `hostaddr` counts as a host.
 * If names cannot be resolved now, an address that may be a listed host counts as production. Targets on this machine
 * do not: they must work without a network.
 */
export async function isProduction(settings: Settings, target: ProductionTarget): Promise<boolean> {
  const listed = settings.config.production ?? {};
  if (settings.environment.get('NODE_ENV') === 'production') return true;
  if ((listed.databases ?? []).includes(target.database)) return true;
  return isListedHost(listed.hosts ?? [], target);
}

/** Whether the target's host is one of `hosts`. */
export async function isListedHost(
  hosts: readonly string[],
  {host, options, sshTunnel}: Pick<ProductionTarget, 'host' | 'options' | 'sshTunnel'>,
): Promise<boolean> {
  if (hosts.length === 0) return false;
  const own = [host, options?.['hostaddr'] ?? ''].filter((name) => name !== '').map(nameOf);
  const names = hosts.map(nameOf);
  const isBehind = sshTunnel !== undefined && own.some(isLoopback);
  const reached = isBehind ? [...own, nameOf(sshTunnel.host)] : own;
  if (reached.some((name) => names.includes(name))) return true;
  const targets = await Promise.all(reached.map(addressesOf));
  const addresses = new Set(targets.flatMap((found) => found ?? []));
  for (const name of names) {
    const found = await addressesOf(name);
    if (found?.some((address) => addresses.has(address)) === true) return true;
    // A name that cannot be resolved may still be the host with the listed address.
    const isUnknown =
      found === undefined || (found.length === 0 && (isBehind || own.some((one) => isIP(one) !== 0)));
    if (isUnknown && addresses.size > 0 && (isBehind || !addresses.has(thisMachine))) return true;
  }
  return false;
}

/** Whether the host does not exist; false where it could not be looked up, and for addresses and sockets. */
export async function isMissingHost(host: string): Promise<boolean> {
  return (await addressesOf(nameOf(host)))?.length === 0;
}

/** The normal form of a name: lower case, without the trailing dot, and without the brackets and the zone of an address. */
function nameOf(host: string): string {
  const bare = host
    .trim()
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.+$/, '');
  return isIP(bare) === 6 ? canonicalAddress(bare) : bare;
}

/** @param host in its normal form */
function isLoopback(host: string): boolean {
  return host === thisMachine || host.startsWith('/') || /^(?:localhost|127\.[\d.]+|::1)$/.test(host);
}

const thisMachine = 'this machine';
const longestLookupMs = 3000;

/**
 * The addresses of a host in normal form; all addresses of this machine are one.
 * @returns none for a name that does not exist, undefined if it could not be looked up
 */
async function addressesOf(host: string): Promise<string[] | undefined> {
  const isSocket = host.startsWith('/') || host.startsWith('@');
  if (isSocket || host === thisMachine) return [thisMachine];
  const timeout = new AbortController();
  try {
    const found = await Promise.race([
      lookup(host, {all: true}),
      delay(longestLookupMs, undefined, {signal: timeout.signal}),
    ]);
    return found?.map(({address}) => canonicalAddress(address));
  } catch (error) {
    return systemErrorCode(error) === 'ENOTFOUND' ? [] : undefined;
  } finally {
    timeout.abort();
  }
}

/** "::FFFF:10.0.0.5" -> "10.0.0.5"; addresses of this machine -> one word. */
function canonicalAddress(address: string): string {
  const bare = address.replace(/%.*$/, '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(spelled(bare));
  const one = mapped?.[1] ?? spelled(bare);
  const isOwn = /^127\./.test(one) || ['::1', '0.0.0.0', '::'].includes(one) || ownAddresses().has(one);
  return isOwn ? thisMachine : one;
}

/** URLs spell an IPv6 address in its short form (RFC 5952), except for IPv4 addresses in it. */
function spelled(address: string): string {
  if (isIP(address) !== 6) return address;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `::ffff:${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}

function ownAddresses(): Set<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map(({address}) => spelled(address.replace(/%.*$/, ''))),
    ),
  );
}
