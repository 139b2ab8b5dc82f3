/** Reads libpq's connection service file (manual, 34.17): connection keywords of the service in PGSERVICE. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {AppError, systemErrorCode} from '../../base/errors.js';
import type {Environment} from '../../settings/environment.js';

/**
 * The keywords (host, port, dbname, ...) of the service in PGSERVICE; empty if it is not set.
 * Searches PGSERVICEFILE, or ~/.pg_service.conf and PGSYSCONFDIR/pg_service.conf.
 * @throws URL_INVALID if no file contains the service
 */
export function readService(environment: Environment): Readonly<Record<string, string>> {
  const name = environment.get('PGSERVICE');
  if (name === undefined) return {};
  const named = environment.get('PGSERVICEFILE');
  const home = environment.get('HOME');
  const system = environment.get('PGSYSCONFDIR');
  const files = [
    ...(named === undefined ? (home === undefined ? [] : [join(home, '.pg_service.conf')]) : [named]),
    ...(system === undefined ? [] : [join(system, 'pg_service.conf')]),
  ];
  for (const file of files) {
    const service = parseServiceFile(textOf(file)).get(name);
    if (service) return service;
  }
  throw new AppError(
    'URL_INVALID',
    `The service "${name}" (PGSERVICE) was not found in: ${files.join(', ')}.`,
    {
      hint: 'Give the file with PGSERVICEFILE, or set DIRECT_URL instead.',
    },
  );
}

/** Services by name; lines before the first section, comments and empty lines are ignored. */
export function parseServiceFile(text: string): Map<string, Record<string, string>> {
  const services = new Map<string, Record<string, string>>();
  let current: Record<string, string> | undefined;
  for (const line of text.split(/\r?\n/).map((raw) => raw.trim())) {
    const section = /^\[(.*)\]$/.exec(line)?.[1];
    if (section !== undefined) {
      current = services.get(section) ?? {};
      services.set(section, current);
    } else if (current && !line.startsWith('#') && line.includes('=')) {
      const index = line.indexOf('=');
      current[line.slice(0, index).trim()] = line.slice(index + 1).trim();
    }
  }
  return services;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return '';
    throw new AppError('URL_INVALID', `Cannot read the service file ${file}.`, {cause: error});
  }
}
