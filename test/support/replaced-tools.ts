/** The client tools of the test server, some of them replaced by scripts. */
import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

const names = ['pg_dump', 'pg_restore', 'psql'] as const;

/**
 * @param serverBin folder of the real tools
 * @param scripts the body of a shell script for each replaced tool; it prints the real version, and has the real tool in $real
 * @returns the folder for --pg-bin
 */
export async function replaceTools(
  folder: string,
  serverBin: string,
  scripts: Readonly<Partial<Record<(typeof names)[number], string>>>,
): Promise<string> {
  const bin = join(folder, 'replaced-tools');
  await mkdir(bin);
  for (const name of names) {
    const real = join(serverBin, name);
    const script = scripts[name];
    const head = `#!/bin/sh\nreal='${real}'\ncase "$*" in *--version*) exec "$real" --version;; esac\n`;
    if (script === undefined) await symlink(real, join(bin, name));
    else await writeFile(join(bin, name), `${head}${script}\n`, {mode: 0o755});
  }
  return bin;
}

/** A pg_restore that omits a row of the shop. */
export const losingReader = `"$real" "$@" | sed '0,/@gmail.com/{/@gmail.com/d}'`;

/** A pg_restore that deletes rows of the database afterwards, with `sql`. */
export function losingRestore(sql: string): string {
  return `for word; do case "$word" in --dbname=*) database="\${word#--dbname=}";; esac; done
"$real" "$@" || exit $?
[ -z "$database" ] || "$(dirname "$real")/psql" --no-psqlrc --quiet --dbname="$database" --command='${sql}'`;
}
