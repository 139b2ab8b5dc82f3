/** Lists ids, labels and names of databases for the completion of shells, out of the backups folder, without this program. */

/** The kinds of names that can be listed: ids of backups, of order backups, labels, and databases of backups. */
export const listedKinds = ['ids', 'orders', 'labels', 'databases'] as const;
export type ListedKind = (typeof listedKinds)[number];

/**
 * The body of a function for any POSIX shell, run as a subshell: the kind, then the words of the command line, one choice a line.
 * It reads regular files only, says nothing where there are none, and nothing of a bucket, which could not answer in time.
 */
export const listingScript = `kind=$1 dir= from= take=
shift
for word; do
  case $take in dir) dir=$word ;; from) from=$word ;; esac
  take=
  case $word in
    --backups-dir) take=dir ;;
    --backups-dir=*) dir=\${word#*=} ;;
    --from) take=from ;;
    --from=*) from=\${word#*=} ;;
  esac
done
[ -n "$dir" ] || dir=$DESTINO_DB_BACKUPS_DIR
[ -n "$dir" ] || dir=$(sed -n 's/.*"backupsDir" *: *"\\([^"\\]*\\)".*/\\1/p' destino-db.config.json)
[ -n "$dir" ] || dir=backups
case $from in
  *://*) exit 0 ;;
  ?*) dir=$from ;;
esac
case $dir in "~/"*) dir=$HOME/\${dir#??} ;; esac
if [ "$kind" = orders ]; then
  for file in "$dir"/order-cleanup/orders-backup-*.json "$dir"/order-cleanup/orders-backup-*.json.age; do
    [ -f "$file" ] || continue
    file=\${file##*/}
    printf "%s\\n" "\${file%%.*}"
  done
  echo latest
  exit 0
fi
if [ -z "$from" ] || [ -d "$dir/database" ]; then dir=$dir/database; fi
set --
for file in "$dir"/*.metadata.json; do
  [ -f "$file" ] && set -- "$@" "$file"
done
[ $# -gt 0 ] || exit 0
case $kind in
  ids)
    for file; do
      file=\${file##*/}
      file=\${file%.metadata.json}
      case $file in *.dump | *.sql | *.dir) file=\${file%.*} ;; esac
      printf "%s\\n" "$file"
    done
    echo latest
    ;;
  labels) sed -n 's/^  "label": "\\([^"\\]*\\)",\\{0,1\\}$/\\1/p' "$@" | sort -u ;;
  databases) sed -n 's/^  "databaseName": "\\([^"\\]*\\)",\\{0,1\\}$/\\1/p' "$@" | sort -u ;;
esac`;
