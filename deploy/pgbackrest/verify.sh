#!/bin/sh
# Reads every file of the backup repository and compares it with its checksum. Ends with 1 and the faults when one is
# missing or changed. `pgbackrest verify` of Debian 12 reports such files and still ends with 0: its words are read too.
set -eu
report=$(pgbackrest --config=@BACKUP_CONFIG@ --stanza=@CLUSTER@ --output=text --verbose verify 2>&1) || {
  echo "$report" >&2
  echo "verify.sh: the backup repository could not be checked, or has faults" >&2
  exit 1
}
echo "$report"
