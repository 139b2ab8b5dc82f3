/** Whether an installed pg_dump was built with zstd. */
import type {Tool} from './find-tools.js';
import {runTool} from './run-tool.js';

/** The first major version whose tools and archives know zstd (release notes of PostgreSQL 16). */
export const firstMajorWithZstd = 16;

/**
 * pg_dump says that its build lacks a compression method before it connects, and there is no gentler way to ask:
 * so it is sent to a socket that cannot exist, and whichever complaint comes first tells.
 * @throws INTERRUPTED
 */
export async function supportsZstd(tool: Tool, signal?: AbortSignal): Promise<boolean> {
  if (tool.major < firstMajorWithZstd) return false;
  const {stderrTail} = await runTool({
    tool: tool.name,
    path: tool.path,
    args: ['--format=custom', '--compress=zstd:3', '--no-password'],
    environment: {PGHOST: '/nonexistent', PGUSER: 'nobody', PGDATABASE: 'none'},
    failureCode: 'PG_DUMP_FAILED',
    acceptedExits: [0, 1],
    ...(signal ? {signal} : {}),
  });
  return stderrTail.some((line) => line.includes('connection to server'));
}
