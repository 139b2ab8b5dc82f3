#!/usr/bin/env bash
# The README's first test command as a stranger runs it: on a bare copy of what is committed, with an empty npm cache, again, and a
# third time without a network. usage: scripts/bare-copy.sh [all], as root on Linux; with "all" the second command, every test, too.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git clone --quiet . "$copy/destino-db"
cd "$copy/destino-db"
export npm_config_cache="$copy/npm-cache"

mapfile -t commands < <(sed -n '/^## The two test commands/,/^## Documentation/{/^npm /p}' README.md)
[ "${1:-}" = all ] || commands=("${commands[0]}")
[ -n "${commands[0]}" ] || { echo 'README.md names no test command.'; exit 1; }

for run in first second third; do
  for command in "${commands[@]}"; do
    echo "== $run run: $command"
    if [ "$run" = third ]; then
      unshare --net bash -c "ip link set lo up; ! ip route get 1.1.1.1 2>/dev/null && $command"
    else
      bash -c "$command"
    fi
  done
done
[ -z "$(git status --porcelain)" ] || { git status --short; echo 'The runs changed committed files.'; exit 1; }
echo '== three runs worked, the third without a network'
