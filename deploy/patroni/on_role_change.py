#!/usr/bin/python3
"""Called by Patroni when this machine's role changes (ACTION ROLE CLUSTER). On a new primary it does two things.

1. It wakes the other machines' Patroni. One that has just lost the race for the primary's key sleeps for `loop_wait`
   before it looks who won, and until a standby follows the new primary no write is acknowledged.
2. It archives what the old primary may not have: WAL segments that were complete here before the promotion. PostgreSQL
   takes them as archived, for on a standby that was the primary's work; a primary that dies between the end of a segment
   and its archiving would leave a hole, and no moment after the hole could be restored.

The promotion goes on meanwhile and needs neither. What fails here is said in Patroni's log, and `pgbackrest/verify.py`
sees a hole.
"""

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import urllib.request

DATA = "@PG_DATA@"
SEGMENT = re.compile(r"^[0-9A-F]{24}$")
PGBACKREST = ["pgbackrest", "--config=@BACKUP_CONFIG@", "--stanza=@CLUSTER@"]

SELF = "https://@SELF_ADDRESS@:@SELF_REST_PORT@"
ALL = [
    "https://@NODE1_ADDRESS@:@NODE1_REST_PORT@",
    "https://@NODE2_ADDRESS@:@NODE2_REST_PORT@",
    "https://@NODE3_ADDRESS@:@NODE3_REST_PORT@",
]


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


def wake(other):
    # a change of the configuration that changes nothing: Patroni looks around at once
    login = base64.b64encode(b"patroni:@REST_PASSWORD@").decode()
    request = urllib.request.Request(
        other + "/config",
        data=b'{"wake": null}',
        method="PATCH",
        headers={"Authorization": "Basic " + login, "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile="@TLS_FOLDER@/ca.crt")
    try:
        urllib.request.urlopen(request, timeout=2, context=context).close()
    except OSError as e:
        say(other + " was not woken: " + repr(e))


def wake_others():
    # at the same time: one of them is likely to be the machine that was lost
    threads = [threading.Thread(target=wake, args=(other,)) for other in ALL if other != SELF]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def main():
    action, role = (sys.argv + ["", ""])[1:3]
    if action != "on_role_change" or role not in ("master", "primary"):
        return
    wake_others()
    try:
        archive_tail()
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        say("the WAL before the promotion may not be archived whole: " + repr(e))


main()
