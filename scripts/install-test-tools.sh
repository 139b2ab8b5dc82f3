#!/usr/bin/env bash
# Installs with apt the programs that tests of metrics, alert rules, schedules, the report, completion, the examples in help and the documentation run, when root;
# says how otherwise. No service is started.
# With the argument "storage": those of tests with an object store and encrypted backups instead.
set -euo pipefail
missing=()
command -v age >/dev/null || missing+=(age)
if [ "${1:-}" = storage ]; then
  command -v radosgw >/dev/null || missing+=(radosgw)
  command -v ceph-mon >/dev/null || missing+=(ceph-mon)
  command -v ceph-osd >/dev/null || missing+=(ceph-osd)
  command -v openssl >/dev/null || missing+=(openssl)
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
else
  command -v promtool >/dev/null || missing+=(prometheus)
  command -v prometheus-node-exporter >/dev/null || missing+=(prometheus-node-exporter)
  command -v crontab >/dev/null || missing+=(cron)
  command -v jq >/dev/null || missing+=(jq)
  command -v zsh >/dev/null || missing+=(zsh)
  command -v fish >/dev/null || missing+=(fish)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  command -v jq >/dev/null || missing+=(jq)
  command -v script >/dev/null || missing+=(bsdutils)
  command -v chromium >/dev/null || missing+=(chromium fonts-liberation)
fi
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Needed for these tests: sudo apt-get install ${missing[*]} (Debian, Ubuntu)." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The packages start services after installing them, unless this file forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
# Another run of this script may be installing; it would hold apt's locks.
exec 9>"${TMPDIR:-/tmp}/destino-db-apt.lock"
flock 9
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}"
