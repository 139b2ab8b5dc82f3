/** The topics of `help TOPIC`, a line each; their pages are in topic-pages.ts, which few runs load. */
export const helpTopics = {
  environment: 'environment variables that the program reads',
  config: 'order of settings, and all keys of the config file',
  'exit-codes': 'exit codes of all commands',
  errors: 'error codes, and what each means',
  formats: 'formats of backups: custom, sql and directory',
  places: 'where backups and their copies are stored',
  output: 'text, JSON, colours, and what goes to stdout and stderr',
  confirmation: 'questions, and the flags that answer them',
} as const;

export type HelpTopic = keyof typeof helpTopics;

export function isHelpTopic(name: string): name is HelpTopic {
  return Object.hasOwn(helpTopics, name);
}
