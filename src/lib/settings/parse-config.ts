/** Checks the text of the config file and reports all its problems at once. */
import {z} from 'zod';
import {AppError, messageOf} from '../base/errors.js';
import {nearest} from '../base/nearest.js';
import {type Config, configSchema} from './config-schema.js';
import {withoutByteOrderMark} from './environment.js';

/** @throws CONFIG_INVALID naming every problem in `text`, one line each. */
export function parseConfig(text: string, file: string): Config {
  let data: unknown;
  try {
    data = JSON.parse(withoutByteOrderMark(text));
  } catch (error) {
    throw new AppError('CONFIG_INVALID', `The config file ${file} is not valid JSON: ${messageOf(error)}.`);
  }
  const parsed = configSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap(describeIssue);
  throw new AppError('CONFIG_INVALID', `The config file ${file} is not valid: ${problems.join('; ')}.`, {
    hint: 'Correct the file. The documentation lists all keys under "Configuration".',
  });
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const where = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') {
    const message = issue.message.replace(/\.$/, '');
    return [where === '' ? message : `${where}: ${message}`];
  }
  const known = keysAt(configSchema, issue.path);
  return issue.keys.map((key) => {
    const guess = nearest(key, known);
    const full = where === '' ? key : `${where}.${key}`;
    return `unknown key "${full}"${guess === undefined ? '' : ` (did you mean "${guess}"?)`}`;
  });
}

/** The keys that the schema allows in the object at `path`. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let current = unwrap(schema);
  for (const key of path) {
    if (current instanceof z.ZodObject) current = unwrap((current.shape as z.core.$ZodShape)[String(key)]);
    else if (current instanceof z.ZodArray) current = unwrap(current.element);
    else if (current instanceof z.ZodRecord) current = unwrap(current.valueType);
    else return [];
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let current = schema;
  while (current instanceof z.ZodExactOptional || current instanceof z.ZodDefault) current = current.unwrap();
  return current;
}
