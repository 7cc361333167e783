#!/usr/bin/env -S python3 -B
"""Unbounded collections: the agent finds the large ones in the heap of a leaking service, counts them while it runs, tells
which one only grows, and how fast; of the service that is fixed it tells nothing.

    Tests/EndToEnd/checks/counted-collections.py [SECONDS]       how long the services run; default 160
"""

import sqlite3
import sys

from support import *

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 160
TOLERANCE = 0.1

SERVICES = {"activity-service": [], "activity-service-cxx": [], "activity-service-fixed": ["--no-leak"]}


def watched(name, options):
    folder, log = work / name, work / f"{name}.log"
    service = name.removesuffix("-fixed")
    process = start(
        HEAPTIDE, "run", "--output", folder, "--heap", "--snapshot-at-exit", "--on-event", f"cat >> {folder}/events.json",
        "--", BUILD / service, "--rate", "2MiB", "--duration", SECONDS, *options, log=log)
    return process, folder, log


def events(folder):
    path = folder / "events.json"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == "collection"]


def counted(taken):
    """How many collections the newest snapshot has counts of."""
    if not taken:
        return 0
    with sqlite3.connect(f"file:{taken[-1]}?mode=ro", uri=True) as snapshot:
        return snapshot.execute("SELECT count(*) FROM counts").fetchone()[0]


def entry_rate(log):
    """Events a second that the tracker holds, by the service's own account."""
    points = [
        (float(seconds), int(count))
        for seconds, count in re.findall(r"seconds=([\d.]+) events=(\d+) ", log.read_text())]
    (t0, n0), (t1, n1) = points[len(points) // 4], points[-2]
    return (n1 - n0) / (t1 - t0)


runs = {name: watched(name, options) for name, options in SERVICES.items()}
for name, (process, folder, log) in runs.items():
    process.wait(SECONDS + 60)
    told = events(folder)
    taken = snapshots(folder)
    report = analyze(taken[-1]) if taken else None
    rising = report["risingCollections"] if report else []
    if name.endswith("-fixed"):
        check(counted(taken), f"{name}: its collections were counted")
        check(not told and not rising, f"{name}: nothing only grows ({[r['title'] for r in rising]})")
        continue
    truth = entry_rate(log)
    if check(told and rising, f"{name}: a collection that only grows is told, and in the snapshot"):
        for source, found in (("event", told[0]["collection"]), ("snapshot", rising[0])):
            off = deviation(found["entriesPerSecond"], truth)
            check(
                "eventCache" in found["title"] or "event_cache" in found["title"],
                f"{name}, {source}: {found['title']}, {found['kind']}")
            check(
                abs(off) <= TOLERANCE,
                f"{name}, {source}: {found['entriesPerSecond']:.0f} entries a second, truth {truth:.0f} ({off:+.1%})")
finish()
