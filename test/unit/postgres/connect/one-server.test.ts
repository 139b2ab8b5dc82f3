import {EventEmitter} from 'node:events';
import {describe, expect, it} from 'vitest';
import type {Connection} from '../../../../src/lib/postgres/connect/connection.js';
import {parseConnectionUrl} from '../../../../src/lib/postgres/connect/connection-url.js';
import {enterServer} from '../../../../src/lib/postgres/connect/one-server.js';

let ports = 50_000;
const anAddress = (query = ''): Connection =>
  parseConnectionUrl(`postgresql://u@h:${(ports += 1)}/d${query}`, 'DIRECT_URL');
const [early, later, latest] = [
  '2026-11-22T03:10:00.000001Z',
  '2026-11-22T03:10:00.000002Z',
  '2026-11-23T00:00:00.000000Z',
];
const row = (started: string, seen: string, changes: Record<string, unknown> = {}) => ({
  started,
  seen,
  address: '10.0.0.7',
  port: '5432',
  is_standby: 'false',
  is_read_only: 'off',
  ...changes,
});
const session = () => new EventEmitter();

/** Enters the server of each row in turn, ends the session before the next one, and returns the last error's code. */
function enterEach(connection: Connection, ...rows: ReturnType<typeof row>[]): unknown {
  for (const each of rows) {
    const client = session();
    try {
      enterServer(client, connection, each);
    } catch (error) {
      return error;
    }
    client.emit('end');
  }
  return undefined;
}

describe('servers behind one address', () => {
  it('are different if their start times differ while a session is open', () => {
    const connection = anAddress();
    enterServer(session(), connection, row(early, later));
    expect(() => enterServer(session(), connection, row(early, latest))).not.toThrow();
    expect(() => enterServer(session(), connection, row(latest, latest))).toThrow(
      expect.objectContaining({
        code: 'SEVERAL_SERVERS',
        details: [
          `10.0.0.7:5432, a primary, running since ${early}`,
          `10.0.0.7:5432, a primary, running since ${latest}`,
        ],
      }),
    );
  });

  it('are one restarted server if it started after the last session and is otherwise the same', () => {
    expect(enterEach(anAddress(), row(early, later), row(latest, latest))).toBe(undefined);
    const several = expect.objectContaining({code: 'SEVERAL_SERVERS'}) as unknown;
    expect(enterEach(anAddress(), row(later, latest), row(early, latest))).toEqual(several);
    expect(enterEach(anAddress(), row(early, latest), row(later, latest))).toEqual(several);
    for (const change of [{is_standby: 'true'}, {address: '10.0.0.8'}, {port: '5433'}])
      expect(enterEach(anAddress(), row(early, later), row(latest, latest, change))).toEqual(several);
    // IPv4 and IPv6 lead to the same server.
    expect(enterEach(anAddress(), row(early, later), row(early, latest, {address: '::1'}))).toBe(undefined);
  });
});

describe('target_session_attrs', () => {
  it.each([
    ['any', true, true, true],
    ['prefer-standby', true, true, true],
    ['primary', true, true, false],
    ['read-write', true, false, false],
    ['read-only', false, true, true],
    ['standby', false, false, true],
  ])('%s', (wanted, primary, readOnly, standby) => {
    const connection = anAddress(`?target_session_attrs=${wanted}`);
    const fits = (changes: Record<string, unknown>): boolean =>
      enterEach({...connection, port: (ports += 1)}, row(early, later, changes)) === undefined;
    expect([fits({}), fits({is_read_only: 'on'}), fits({is_standby: 'true', is_read_only: 'on'})]).toEqual([
      primary,
      readOnly,
      standby,
    ]);
  });
});
