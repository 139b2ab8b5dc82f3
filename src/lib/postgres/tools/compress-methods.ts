/** Compression methods of pg_dump, and whether the installed one supports them. */
import {AppError} from '../../base/errors.js';
import type {CompressMethod} from '../../base/formats.js';
import type {Settings} from '../../settings/settings.js';
import {findTool, installedTools, installHint, type Tool} from './find-tools.js';
import {runTool} from './run-tool.js';

/** The first major version whose tools and archives support more than gzip (release notes of PostgreSQL 16). */
export const firstMajorWithMethods = 16;

/**
 * pg_dump reports a compression method that its build lacks before it connects, and there is no simpler way to ask.
 * It is therefore pointed at a socket that cannot exist, and its first error shows the answer.
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
 * The pg_dump for a server of `serverMajor`: the oldest that is not older and supports the requested method.
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
    `No pg_dump was found that compresses with ${method}; it needs PostgreSQL ${firstMajorWithMethods} or newer, built with that method. Found: ${tools.map(({path}) => path).join(', ')}.`,
    {hint: `${installHint(Math.max(serverMajor, firstMajorWithMethods))} Or use --compress-method gzip.`},
  );
}
