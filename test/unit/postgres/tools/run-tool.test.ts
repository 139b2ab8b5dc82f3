/** No output of started programs is lost. */
import {existsSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {expect, it} from 'vitest';
import {runTool} from '../../../../src/lib/postgres/tools/run-tool.js';
import {tempFolder} from '../../../support/run-cli.js';

it('keeps the output of a program for a reader that starts after the program has ended', async () => {
  const folder = await tempFolder();
  const ended = join(folder, 'ended');
  let read = '';
  try {
    await runTool({
      tool: 'sh',
      path: '/bin/sh',
      args: ['-c', 'seq 1000; : >"$0"', ended],
      environment: {},
      failureCode: 'TOOL_FAILED',
      async readStdout(stdout) {
        while (!existsSync(ended)) await nextTurn();
        // Event loop turns in which the data in the pipe could be consumed.
        for (let turn = 0; turn < 100; turn++) await nextTurn();
        read = await text(stdout);
      },
    });
  } finally {
    await rm(folder, {recursive: true});
  }
  expect(read.split('\n').slice(0, -1)).toEqual(Array.from({length: 1000}, (_, index) => String(index + 1)));
});
