#!/usr/bin/env bash
# Runs a throw-away S3 server for tests: one Ceph monitor, one storage daemon in memory, one RADOS gateway, on loopback only.
# Prints one line of JSON (endpoint, keys, folder) when all programs are installed, and "ready" when it answers: the folder then
# contains a file of this name. It runs until its stdin closes or it is ended.
# Usage: ceph-rgw.sh < pipe
set -euo pipefail
bash "$(dirname "$0")/install-programs.sh" radosgw radosgw-admin ceph ceph-mon ceph-osd ceph-authtool monmaptool >&2

dir=$(mktemp -d "${TMPDIR:-/tmp}/ceph-rgw-XXXXXX")
pids=()
clean_up() {
  trap - EXIT INT TERM HUP
  # A stopped process takes SIGKILL all the same.
  if [ ${#pids[@]} -gt 0 ]; then kill -KILL "${pids[@]}" 2>/dev/null || true; fi
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 143' INT TERM HUP

# A port that nothing listens on now. Below the range that outgoing connections take theirs from.
free_port() {
  local port
  for _ in $(seq 200); do
    port=$((20000 + RANDOM % 10000))
    if ! (: </dev/tcp/127.0.0.1/$port) 2>/dev/null; then echo "$port"; return; fi
  done
  echo 'no free port was found' >&2
  return 1
}

mon_port=$(free_port) mon_old_port=$(free_port) s3_port=$(free_port)
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$dir/mon" "$dir/osd" "$dir/run" "$dir/log"
cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port,v1:127.0.0.1:$mon_old_port]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 1
run dir = $dir/run
log file = $dir/log/\$name.log
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
keyring = $dir/keyring
setuser match path =
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
osd crush initial weight = 1.0
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$s3_port
rgw dns name = localhost
rgw crypt require ssl = false
rgw run sync thread = false
# Gateways tell one another of changes in their caches, and wait half a minute for one that was killed.
rgw cache enabled = false
rgw thread pool size = 64
CONF
export CEPH_CONF="$dir/ceph.conf"

printf '{"endpoint": "http://127.0.0.1:%s", "accessKeyId": "tester-key", "secretAccessKey": "tester-secret", "folder": "%s"}\n' \
  "$s3_port" "$dir"

# The daemons die with this script, however it dies.
start() {
  local log=$1
  shift
  setpriv --pdeathsig KILL "$@" >"$dir/log/$log.out" 2>&1 </dev/null &
  pids+=($!)
}
fail() {
  echo "$1" >&2
  tail -n 20 "$dir"/log/* >&2 || true
  exit 1
}

keyring=$dir/keyring
ceph-authtool --create-keyring "$keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool "$keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' >/dev/null
ceph-authtool "$keyring" --gen-key -n client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx' >/dev/null
ceph-authtool "$keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' >/dev/null
monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port,v1:127.0.0.1:$mon_old_port]" "$dir/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$keyring" >"$dir/log/mkfs.out" 2>&1 || fail 'ceph-mon could not be prepared'
start mon ceph-mon -f -i a
timeout 60 ceph --connect-timeout 60 osd create >/dev/null 2>"$dir/log/create.out" || fail 'the monitor did not answer'
ceph-osd -i 0 --mkfs >"$dir/log/osd-mkfs.out" 2>&1 || fail 'ceph-osd could not be prepared'
start osd ceph-osd -f -i 0
start rgw radosgw -f -n client.rgw
gateway=${pids[-1]}
for attempt in $(seq 600); do
  if (: </dev/tcp/127.0.0.1/"$s3_port") 2>/dev/null; then break; fi
  kill -0 "$gateway" 2>/dev/null || fail 'the gateway ended'
  [ "$attempt" -lt 600 ] || fail 'the gateway did not open its port within two minutes'
  sleep 0.2
done
user() {
  radosgw-admin user create --uid="$1" --display-name="$1" --access-key="$1-key" --secret-key="$1-secret" >/dev/null 2>>"$dir/log/admin.out" ||
    fail "the user $1 could not be made"
}
user tester
user small
radosgw-admin quota set --quota-scope=user --uid=small --max-size=2097152 >/dev/null 2>&1
radosgw-admin quota enable --quota-scope=user --uid=small >/dev/null 2>&1

touch "$dir/ready"
echo ready
# Until whoever started it lets go of the pipe, or dies. "wait" keeps traps answering while "cat" reads.
cat >/dev/null <&0 &
wait $! || true
