/** vitest global setup: the programs of the server, for files that start servers of their own. */
import type {TestProject} from 'vitest/node';
import {serverBinFolders} from '../../src/lib/postgres/tools/local-cluster.js';
import {requirePrograms} from './require-programs.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder of initdb, postgres and the client tools of this version. */
    serverBin: string;
    serverMajor: number;
  }
}

export async function setup(project: TestProject): Promise<void> {
  await provideServer(project);
}

/** @returns the folder of the programs */
export async function provideServer(project: TestProject): Promise<string> {
  // Without any variable vitest omits `env`, in spite of its types.
  const {env} = project.config as {env?: Readonly<Record<string, string>>};
  const {folder, major} = await chooseServer(env?.['DESTINO_TEST_PG']);
  project.provide('serverBin', folder);
  project.provide('serverMajor', major);
  return folder;
}

/**
 * The project's configuration or DESTINO_TEST_PG names the major version; the default is the oldest installed one, which has the most newer versions.
 */
async function chooseServer(
  wanted = process.env['DESTINO_TEST_PG'],
): Promise<{folder: string; major: number}> {
  const choose = async () => {
    const servers = await serverBinFolders();
    return wanted === undefined ? servers.at(-1) : servers.find((server) => String(server.major) === wanted);
  };
  const installed = await choose();
  if (installed) return installed;
  requirePrograms('postgres');
  const server = await choose();
  if (!server) throw new Error(`no PostgreSQL ${wanted ?? ''} server programs were found`);
  return server;
}
