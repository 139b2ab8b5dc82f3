/** Reads and replaces the user's crontab with crontab(1). */
import {isUtf8} from 'node:buffer';
import {Readable} from 'node:stream';
import {AppError} from '../../base/errors.js';
import {runTool} from '../../postgres/tools/run-tool.js';

/**
 * The whole crontab; empty if the user has none.
 * @throws TOOL_FAILED; GUARD if it contains bytes that could not be preserved
 */
export async function readCrontab(signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  const outcome = await crontab({
    args: ['-l'],
    signal,
    acceptedExits: [0, 1],
    readStdout: async (stdout) => {
      for await (const chunk of stdout as AsyncIterable<Buffer>) chunks.push(chunk);
    },
  });
  const tail = outcome.stderrTail.join('\n');
  if (outcome.exitCode === 1 && !/no crontab for/i.test(tail)) {
    throw new AppError('TOOL_FAILED', 'The crontab could not be read; nothing was changed.', {
      details: outcome.stderrTail,
    });
  }
  const bytes = Buffer.concat(chunks);
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new AppError(
    'GUARD',
    'The crontab is not UTF-8, so its other lines could not be preserved; nothing was changed.',
    {hint: 'If it is Latin-1, convert it: crontab -l | iconv -f LATIN1 -t UTF-8 | crontab -'},
  );
}

/** Replaces the whole crontab; crontab(1) checks it first and keeps the old one if it is invalid. @throws TOOL_FAILED */
export async function writeCrontab(text: string, signal: AbortSignal): Promise<void> {
  await crontab({args: ['-'], signal, stdin: {stream: Readable.from([text])}});
}

async function crontab(run: Partial<Parameters<typeof runTool>[0]> & {args: string[]}) {
  try {
    return await runTool({
      tool: 'crontab',
      path: 'crontab',
      environment: {},
      failureCode: 'TOOL_FAILED',
      ...run,
    });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'TOOL_FAILED') throw error;
    throw new AppError('TOOL_FAILED', `${error.message} The crontab was not changed.`, {
      hint: 'Check that cron is installed (apt-get install cron) and that this user may use it, or use --as systemd.',
      details: error.details,
      cause: error,
    });
  }
}
