/** Hook: an unknown command is a usage error with a suggestion, never a question. */
import type {Hook} from '@oclif/core';
import {nearest} from '../nearest.js';

const hook: Hook.CommandNotFound = ({id, config}) => {
  const guess = nearest(id, config.commandIDs);
  process.stderr.write(
    `Error USAGE: There is no command "${id}".${guess === undefined ? '' : ` Did you mean "${guess}"?`}\n` +
      `Next: ${config.bin} --help lists the commands.\n`,
  );
  process.exit(2);
};

export default hook;
