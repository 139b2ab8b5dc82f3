#!/usr/bin/env bash
# The README's commands on a machine that is new: Debian's minimal base with Node, npm and apt alone, made by debootstrap, and a copy of the
# tree without .git and node_modules. First "Install", then the two test commands, as README.md writes them.
# usage: scripts/fresh-machine.sh [demo]   as root; with "demo" without the second test command, which runs every test
# Apt's sources and proxies, npm's settings, certificates and Node are those of the machine it runs on.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo 'This needs root: it makes a root file system and mounts /proc in it.' >&2; exit 1; }
bash scripts/install-programs.sh debootstrap git

machine=$(mktemp -d "${TMPDIR:-/tmp}/fresh-machine-XXXXXX")
# A mount namespace of its own, which takes its mounts with it when it ends.
if [ "${FRESH_MACHINE_INSIDE:-}" = '' ]; then
  rmdir "$machine"
  FRESH_MACHINE_INSIDE=1 exec unshare --mount --fork --pid --kill-child --mount-proc bash "$0" "$@"
fi
chmod 755 "$machine" # the root folder of a machine is everybody's to enter
trap 'umount -l "$machine/proc" "$machine/sys" "$machine/dev" "$machine" 2>/dev/null; rm -rf --one-file-system "$machine"' EXIT

started=$(date +%s)
say() { printf '== %4d s  %s\n' "$(($(date +%s) - started))" "$*"; }

# Debian's own suite and mirror, as apt on this machine has them.
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(grep -rhoE 'https?://[^ ]*debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | grep -v security | head -n 1 || true)
say "Debian $suite, minimal base"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$machine" ${mirror:+"${mirror%% *}"} >"$machine.log" 2>&1 ||
  { tail -n 20 "$machine.log"; exit 1; }
rm -f "$machine.log"

# What belongs to the machine's way to the network, and Node with npm.
cp -a /etc/ssl/certs/. "$machine/etc/ssl/certs/"
cp -a /usr/local/share/ca-certificates/. "$machine/usr/local/share/ca-certificates/" 2>/dev/null || true
grep -lis proxy /etc/apt/apt.conf /etc/apt/apt.conf.d/* 2>/dev/null | while read -r file; do cp "$file" "$machine/etc/apt/apt.conf.d/"; done || true
for file in /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc "${HOME:-/root}/.npmrc" /etc/resolv.conf /etc/hosts; do
  [ -e "$file" ] && mkdir -p "$machine$(dirname "$file")" && cp -L "$file" "$machine$file"
done
node=$(readlink -f "$(command -v node)")
prefix=$(dirname "$(dirname "$node")")
mkdir -p "$machine$prefix/bin" "$machine$prefix/lib/node_modules"
cp "$node" "$machine$prefix/bin/node"
cp -a "$prefix/lib/node_modules/npm" "$machine$prefix/lib/node_modules/"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$machine$prefix/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$machine$prefix/bin/npx"
if [ -d "$prefix/include/node" ]; then mkdir -p "$machine$prefix/include" && cp -a "$prefix/include/node" "$machine$prefix/include/"; fi

# The tree as it is, without what git ignores: no repository, no packages, no build.
mkdir -p "$machine/root/destino-db"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  tar --null -T - -cf - | tar -xf - -C "$machine/root/destino-db"

# A root of its own, which programs in it may make mount namespaces of.
mount --bind "$machine" "$machine"
mount -t proc proc "$machine/proc"
mount --rbind /sys "$machine/sys"
mount --rbind /dev "$machine/dev"
mount --make-rslave "$machine/sys"
mount --make-rslave "$machine/dev"
variables=(PATH="$prefix/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LANG=C.UTF-8 TERM=dumb)
while IFS= read -r -d '' entry; do variables+=("$entry"); done < <(env -0 | grep -zEi '^(https?_proxy|no_proxy|node_extra_ca_certs|ssl_cert_(file|dir)|npm_config_(registry|cafile))=' || true)
inside() { chroot "$machine" /usr/bin/env -i "${variables[@]}" /bin/bash -euo pipefail -c "cd /root/destino-db && $1" </dev/null; }

for program in git ps curl psql python3; do
  if inside "command -v $program" >/dev/null; then echo "The base has $program; it is not minimal." >&2; exit 1; fi
done
say "Node $(inside 'node --version'), npm $(inside 'npm --version')"

# Blocks of README.md, as they stand there.
block() { sed -n "/^## $1\$/,/^## /p" README.md | sed -n '/^```sh$/,/^```$/{/^```/!p}' | head -n "$2"; }
install=$(block Install 3)
mapfile -t commands < <(block 'The two test commands' 2)
[ -n "$install" ] && [ ${#commands[@]} -eq 2 ] || { echo 'README.md shows no commands to install or test.' >&2; exit 1; }
[ "${1:-}" = demo ] && commands=("${commands[0]}")

say "$install"
inside "$install"
inside 'cd / && destino-db --version'
inside 'rm -rf node_modules dist'
for command in "${commands[@]}"; do
  say "$command"
  inside "$command"
done
say 'every command ended with 0'
