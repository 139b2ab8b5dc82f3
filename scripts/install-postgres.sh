#!/usr/bin/env bash
# Installs PostgreSQL (server and client tools) with apt when root; says how otherwise. The packaged cluster is not started.
set -euo pipefail
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo 'PostgreSQL server programs are needed. Install them: sudo apt-get install postgresql (Debian, Ubuntu), brew install postgresql (macOS).' >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql
