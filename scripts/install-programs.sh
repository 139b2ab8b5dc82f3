#!/usr/bin/env bash
# Installs with apt, as root, those of the named programs that are missing, and says how to get them otherwise. No service is started.
# usage: scripts/install-programs.sh PROGRAM...   "postgres" means PostgreSQL's server and client programs, "faketime" its library
set -euo pipefail

is_here() {
  case $1 in
    postgres) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    faketime) compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null ;;
    cron) [ -x /usr/sbin/cron ] && command -v crontab >/dev/null ;;
    sshd) [ -x /usr/sbin/sshd ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# The packages of a program in Debian and Ubuntu.
packages_of() {
  case $1 in
    postgres) echo postgresql ;;
    promtool) echo prometheus ;;
    systemd-analyze) echo systemd ;;
    script) echo bsdutils ;;
    chromium) echo chromium fonts-liberation ;;
    age-keygen) echo age ;;
    faketime) echo libfaketime ;;
    ps) echo procps ;;
    ip) echo iproute2 ;;
    sshd) echo openssh-server ;;
    ssh | ssh-keygen) echo openssh-client ;;
    ceph | radosgw-admin | ceph-authtool) echo ceph-common ;;
    monmaptool) echo ceph-base ;;
    *) echo "$1" ;;
  esac
}

missing=()
find_missing() {
  missing=()
  for program in "$@"; do
    # shellcheck disable=SC2207 # names of packages have no blanks
    is_here "$program" || missing+=($(packages_of "$program"))
  done
}

find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "These programs are needed: sudo apt-get install ${missing[*]} (Debian, Ubuntu; on macOS: brew install)." >&2
  exit 1
fi
# Another run of this script may be installing; it would hold apt's locks, and may bring what is missing here.
exec 9>"${TMPDIR:-/tmp}/destino-db-apt.lock"
flock 9
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
export DEBIAN_FRONTEND=noninteractive
# Packages start services after they are installed, unless this file forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
# The lists of packages are fetched once, unless a list names a version that is gone by now.
install() { apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" 9>&-; }
update() { apt-get -o DPkg::Lock::Timeout=300 update -qq 9>&-; }
[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -60 -print -quit 2>/dev/null)" ] || update
install || { update && install; }
