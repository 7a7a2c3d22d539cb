#!/usr/bin/python3
"""Called by Patroni when this machine's role changes (ACTION ROLE CLUSTER). A new primary archives what the old one may
not have: WAL segments that were complete here before the promotion. PostgreSQL takes them as archived, for on a standby
that was the primary's work; a primary that dies between the end of a segment and its archiving would leave a hole, and
no moment after the hole could be restored.

The promotion goes on meanwhile. What fails here is said in Patroni's log, and `pgbackrest/verify.py` sees the hole.
"""

import json
import os
import re
import subprocess
import sys

DATA = "@PG_DATA@"
SEGMENT = re.compile(r"^[0-9A-F]{24}$")
PGBACKREST = ["pgbackrest", "--config=@BACKUP_CONFIG@", "--stanza=@CLUSTER@"]


def say(text):
    print("on_role_change: " + text, file=sys.stderr, flush=True)


def archive_tail():
    wal = os.path.join(DATA, "pg_wal")
    histories = sorted(f for f in os.listdir(wal) if re.match(r"^[0-9A-F]{8}\.history$", f))
    if not histories:
        return
    with open(os.path.join(wal, histories[-1]), encoding="ascii") as f:
        last = [line.split() for line in f if line.strip() and not line.startswith("#")][-1]
    timeline, (high, low) = int(last[0]), (int(x, 16) for x in last[1].split("/"))
    switch = "%08X%08X%08X" % (timeline, high, low >> 24)
    listed = json.loads(
        subprocess.run(
            PGBACKREST + ["repo-ls", "--recurse", "--output=json", "archive/@CLUSTER@"],
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
    )
    there = {os.path.basename(name)[:24] for name in listed}
    for name in sorted(f for f in os.listdir(wal) if SEGMENT.match(f)):
        if name[:8] != switch[:8] or name >= switch or name in there:
            continue
        say("archiving " + name + ", which the old primary had not")
        subprocess.run(PGBACKREST + ["archive-push", "pg_wal/" + name], check=True, cwd=DATA, timeout=120)


def main():
    action, role = (sys.argv + ["", ""])[1:3]
    if action == "on_role_change" and role in ("master", "primary"):
        try:
            archive_tail()
        except (OSError, ValueError, subprocess.SubprocessError) as e:
            say("the WAL before the promotion may not be archived whole: " + repr(e))


main()
