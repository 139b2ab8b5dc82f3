/** The examples in the help of every command, run as a user would paste them. */
import {chmod, mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {type CliResult, program, runProgram} from './run-cli.js';

const manifestSchema = z.object({
  commands: z.record(
    z.string(),
    z.object({
      hidden: z.boolean().optional(),
      flags: z.record(z.string(), z.unknown()),
      examples: z.array(z.union([z.string(), z.object({command: z.string()})])).optional(),
    }),
  ),
});

export interface Example {
  /** Id of the command. */
  readonly id: string;
  /** "destino-db backup --quiet" */
  readonly line: string;
  /** Whether the command asks for confirmation, and its answer. */
  readonly canBeAnswered: boolean;
}

export async function readExamples(): Promise<Example[]> {
  const text = await readFile(new URL('../../oclif.manifest.json', import.meta.url), 'utf8');
  return Object.entries(manifestSchema.parse(JSON.parse(text)).commands).flatMap(([id, command]) =>
    (command.examples ?? []).map((example) => {
      const template = typeof example === 'string' ? example : example.command;
      const line = template.replaceAll('<%= config.bin %>', 'destino-db').replaceAll('<%= command.id %>', id);
      return {id, line, canBeAnswered: 'yes' in command.flags};
    }),
  );
}

/** crontab(1) with its file in the test's folder, so that it does not change a crontab of this machine. */
const fakeCrontab = `#!/bin/sh
case "$1" in
-l) [ -e "$0.file" ] || { echo "no crontab for tester" >&2; exit 1; }; cat "$0.file" ;;
-) cat > "$0.file" ;;
esac
`;

/** A shell in `folder`, whose PATH begins with destino-db and the fake crontab. */
export async function openShell(
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<(line: string, shell?: string) => Promise<CliResult>> {
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await symlink(program, join(bin, 'destino-db'));
  await writeFile(join(bin, 'crontab'), fakeCrontab);
  await chmod(join(bin, 'crontab'), 0o755);
  const path = `${bin}:${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`;
  return (line, shell = 'bash') =>
    runProgram(shell, [...(shell === 'fish' ? [] : ['-o', 'pipefail']), '-c', line], {
      cwd: folder,
      env: {...env, PATH: path, HOME: folder},
    });
}
