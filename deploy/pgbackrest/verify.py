#!/usr/bin/python3
"""Reads the whole backup repository and says whether every moment since the oldest backup can be restored.

Ends with 0 only when (1) there is a backup, (2) every file of every backup and every WAL segment has the content that
was written (`pgbackrest verify`, whose words are read: Debian 12's ends with 0 whatever it finds), and (3) no WAL
segment is missing between the oldest backup and the newest segment, across changes of the primary. Otherwise it ends
with 1 and says what is wrong.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

PGBACKREST = ["pgbackrest", "--config=@BACKUP_CONFIG@", "--stanza=@CLUSTER@"]
PER_LOG = 256  # segments of 16 MB in one of WAL's logical files


def run(*arguments):
    done = subprocess.run(
        PGBACKREST + list(arguments), capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise SystemExit("verify: pgbackrest %s failed: %s%s" % (arguments[-1], done.stdout, done.stderr))
    return done.stdout + done.stderr if arguments[-1] == "verify" else done.stdout


def number(segment):
    return int(segment[8:16], 16) * PER_LOG + int(segment[16:24], 16)


def name(timeline, at):
    return "%08X%08X%08X" % (timeline, at // PER_LOG, at % PER_LOG)


def history(timeline):
    """The timelines before this one, each with the segment in which it was left."""
    if timeline == 1:
        return []
    file = "%08X.history" % timeline
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, file)
        got = subprocess.run(
            PGBACKREST + ["archive-get", file, target], capture_output=True, text=True, errors="replace"
        )
        if got.returncode != 0 or not os.path.exists(target):
            raise SystemExit("verify: the history of timeline %d (%s) is missing: %s" % (timeline, file, got.stderr))
        with open(target, encoding="ascii") as f:
            lines = [line.split() for line in f if line.strip() and not line.startswith("#")]
    ways = []
    for line in lines:
        high, low = (int(x, 16) for x in line[1].split("/"))
        ways.append((int(line[0]), high * PER_LOG + (low >> 24)))
    return ways


def missing(backups, segments):
    """The segments that a restore to the newest moment needs and that are not there."""
    first = min((b["archive"]["start"] for b in backups), key=lambda s: (number(s), s))
    newest = max(segments)
    timeline = int(newest[:8], 16)
    faults = []
    begin, last = number(first), int(first[:8], 16)
    for way, end in history(timeline):
        if way < last:
            continue
        faults += [name(way, s) for s in range(begin, end) if name(way, s) not in segments]
        begin = max(begin, end)
    faults += [name(timeline, s) for s in range(begin, number(newest) + 1) if name(timeline, s) not in segments]
    for b in backups:
        faults += [s for s in (b["archive"]["start"], b["archive"]["stop"]) if s not in segments]
    return sorted(set(faults))


def main():
    info = json.loads(run("--output=json", "info"))
    backups = [b for stanza in info for b in stanza.get("backup", [])]
    if not backups:
        raise SystemExit("verify: there is no backup that can be read: %s" % [s.get("status") for s in info])
    report = run("--output=text", "--verbose", "verify")
    faults = [
        line.strip()
        for line in report.splitlines()
        if re.search(r"status: (error|invalid)|No usable|ERROR|WARN|(missing|invalid|other): [1-9]", line)
    ]
    listed = json.loads(run("--recurse", "--output=json", "repo-ls", "archive/@CLUSTER@"))
    files = {os.path.basename(f) for f in listed}
    segments = {f[:24] for f in files if re.match(r"^[0-9A-F]{24}-[0-9a-f]{40}", f)}
    if not segments:
        raise SystemExit("verify: there is no WAL segment in the repository")
    faults += ["WAL segment %s is missing" % s for s in missing(backups, segments)]
    if faults:
        print(report, file=sys.stderr)
        raise SystemExit("verify: THE BACKUP IS NOT WHOLE:\n  " + "\n  ".join(faults))
    print(
        json.dumps(
            {
                "backups": [b["label"] for b in backups],
                "segments": len(segments),
                "oldest": min(b["archive"]["start"] for b in backups),
                "newest": max(segments),
            }
        )
    )


main()
