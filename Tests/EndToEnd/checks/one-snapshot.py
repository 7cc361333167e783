#!/usr/bin/env -S python3 -B
"""One snapshot is enough: 15 s after the start, while the leak is still smaller than the start-up table and the full
cache beside it, it ranks the leak first and gives its rate, of which the middle one of the runs is judged. The service
without a leak gets no serious suspect.

    Tests/EndToEnd/checks/one-snapshot.py [RUNS]       default 3
"""

import math
import statistics
import sys

from support import *

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
AGE = 15
LARGEST_NEIGHBOUR = 48_000_000
TOLERANCE = 0.15
LOW_CONFIDENCE = 0.4


def snapshots(service):
    """Reports and truths of a service at the age of 15 s, watched by the probe alone: so many, side by side."""
    begun = []
    for number in range(RUNS):
        log = work / f"{service}-{number}.log"
        begun.append((start(BUILD / service, log=log, env=with_probe(work / "ledgers")), log))
    for process, log in begun:
        wait_for(lambda: Truth(log).seconds >= AGE, AGE + 10)
        file = log.with_suffix(".heaptide")
        taken = run(HEAPTIDE, "snapshot", process.pid, "--output", file)
        truth = Truth(log)
        stop(process)
        if check(taken.returncode == 0, f"{service}: snapshot taken {taken.stderr.strip()}"):
            yield analyze(file), truth


for service in ("activity-service", "activity-service-cxx"):
    deviations = []
    for report, truth in snapshots(service):
        suspect = first_suspect(report)
        check(0 < truth.bytes < LARGEST_NEIGHBOUR, f"{service}: the leak ({truth.bytes / MIB:.1f} MiB) is not the largest")
        if check(is_tracker(suspect), f"{service}: first suspect {function(suspect)}"):
            deviations.append(deviation(suspect["bytesPerSecond"], truth.rate()))
            note(
                f"{service}: {suspect['bytesPerSecond'] / MIB:.3f} MiB/s, truth {truth.rate() / MIB:.3f} "
                f"({deviations[-1]:+.1%}), confidence {suspect['confidence']:.2f}")
    # One estimate is off by more than that now and then, by chance.
    off = statistics.median(deviations) if deviations else math.inf
    check(abs(off) <= TOLERANCE, f"{service}: the middle one of {len(deviations)} rates is off by {off:+.1%}")
for report, _ in snapshots("healthy-service"):
    serious = [suspect for suspect in report["suspects"] if suspect["confidence"] >= LOW_CONFIDENCE]
    check(not serious, f"healthy-service: suspects above low confidence: {[function(s) for s in serious] or 'none'}")
finish()
