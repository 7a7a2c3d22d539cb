#!/bin/sh
# Run by vitrine-backup.timer on each database machine; only the primary backs up. `backup.sh full` on Sundays,
# `backup.sh diff` on other days. Afterwards the whole repository is read and checked: a file that is missing or
# changed fails the unit, and that is an alert.
set -eu
kind=${1:-diff}
case $kind in full|diff|incr) ;; *) echo "backup.sh: full, diff or incr, not '$kind'" >&2; exit 2 ;; esac
code=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 --cacert @TLS_FOLDER@/ca.crt \
  https://@SELF_ADDRESS@:@SELF_REST_PORT@/primary) || code=none
if [ "$code" != 200 ]; then
  echo "@SELF_NAME@ is not the primary (answer: $code): nothing to do here"
  exit 0
fi
pgbackrest --config=@BACKUP_CONFIG@ --stanza=@CLUSTER@ --type="$kind" backup
exec "$(dirname "$0")/verify.py"
