/** Whether words are a command line that this program takes: a schedule runs them when nobody is there to read a usage error. */
import {Flags, type Interfaces, Parser} from '@oclif/core';
import type {AppError} from '../../base/errors.js';
import type {CheckCommandLine} from '../../services/schedule/schedule.js';
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
    const all = {...baseFlags, ...flags, json: Flags.boolean()};
    try {
      await Parser.parse([...argv], {flags: all, args, strict});
      return undefined;
    } catch (error) {
      return asAppError(error, {bin: config.bin, id, flags: Object.keys(all)}) satisfies AppError;
    }
  };
}
