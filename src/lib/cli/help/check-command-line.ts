/** Whether words are a command line that this program takes: a schedule runs them when nobody is there to read a usage error. */
import {existsSync} from 'node:fs';
import {type Interfaces, Parser} from '@oclif/core';
import {AppError} from '../../base/errors.js';
import type {CheckCommandLine} from '../../services/schedule/schedule.js';
import {refuseBadPlaces, refuseEmptyFlags} from '../flags.js';
import {unknownCommandError} from './command-not-found.js';
import {asAppError} from '../show/show-error.js';

/** The check for the commands of `config`: what is wrong with the words, by the command's own flags. */
export function commandLineCheck(config: Interfaces.Config): CheckCommandLine {
  return async (words) => {
    const [first = '', second = '', ...others] = words;
    const isTopic = !config.findCommand(first) && config.findCommand(`${first}:${second}`) !== undefined;
    const [id, argv] = isTopic ? [`${first}:${second}`, others] : [first, words.slice(1)];
    const command = config.findCommand(id);
    if (!command || command.hidden) return unknownCommandError(id, config);
    const {flags, baseFlags, args, strict} = await command.load();
    const all = {...baseFlags, ...flags};
    try {
      const parsed = await Parser.parse([...argv], {flags: all, args, strict});
      refuseEmptyFlags(parsed.flags);
      refuseBadPlaces(parsed.flags);
      refuseMissingFiles(parsed.flags);
      return undefined;
    } catch (error) {
      return asAppError(error, {bin: config.bin, id, flags: Object.keys(all)}) satisfies AppError;
    }
  };
}

/** Files that a command reads before it does anything. */
const filesRead = ['config', 'env-file', 'identity', 'passphrase-file'];

/** @throws USAGE naming the flag */
function refuseMissingFiles(flags: object): void {
  for (const [name, value] of Object.entries(flags) as [string, unknown][]) {
    if (typeof value === 'string' && filesRead.includes(name) && !existsSync(value))
      throw new AppError('USAGE', `--${name}: there is no file ${value}.`);
  }
}
