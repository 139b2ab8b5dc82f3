/** How pg_dump can compress, and whether an installed one can. */
import {AppError} from '../../base/errors.js';
import type {CompressMethod} from '../../settings/config-schema.js';
import type {Settings} from '../../settings/settings.js';
import {findTool, installedTools, installHint, type Tool} from './find-tools.js';
import {runTool} from './run-tool.js';

/** The first major version whose tools and archives know more than gzip (release notes of PostgreSQL 16). */
export const firstMajorWithMethods = 16;

/**
 * pg_dump says that its build lacks a compression method before it connects, and there is no gentler way to ask:
 * so it is sent to a socket that cannot exist, and whichever complaint comes first tells.
 * @throws INTERRUPTED
 */
export async function supportsMethod(
  tool: Tool,
  method: CompressMethod,
  signal?: AbortSignal,
): Promise<boolean> {
  if (tool.major < firstMajorWithMethods) return method === 'gzip';
  const {stderrTail} = await runTool({
    tool: tool.name,
    path: tool.path,
    args: ['--format=custom', `--compress=${method}`, '--no-password'],
    environment: {PGHOST: '/nonexistent', PGUSER: 'nobody', PGDATABASE: 'none'},
    failureCode: 'PG_DUMP_FAILED',
    acceptedExits: [0, 1],
    ...(signal ? {signal} : {}),
  });
  return stderrTail.some((line) => line.includes('connection to server'));
}

/**
 * The pg_dump to use against a server of `serverMajor`: the oldest that is not older and knows the method that was asked for.
 * @throws PG_DUMP_NOT_FOUND, TOOL_TOO_OLD
 */
export async function findDumpTool(
  settings: Settings,
  serverMajor: number,
  method: CompressMethod | undefined,
  signal?: AbortSignal,
): Promise<Tool> {
  const tool = await findTool('pg_dump', settings, serverMajor);
  if (method === undefined || method === 'gzip') return tool;
  const tools = await installedTools('pg_dump', settings);
  for (const one of tools)
    if (one.major >= serverMajor && (await supportsMethod(one, method, signal))) return one;
  throw new AppError(
    'TOOL_TOO_OLD',
    `No pg_dump here compresses with ${method}, which one of PostgreSQL ${firstMajorWithMethods} or newer can that was built so; found: ${tools.map(({path}) => path).join(', ')}.`,
    {hint: `${installHint(Math.max(serverMajor, firstMajorWithMethods))} Or take --compress-method gzip.`},
  );
}
