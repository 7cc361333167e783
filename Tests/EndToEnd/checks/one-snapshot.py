#!/usr/bin/env -S python3 -B
"""One snapshot is enough: 15 s after the start, while the leak is still smaller than the start-up table and the full
cache beside it, it ranks the leak first and knows its rate within 15%: each says so itself, and the middle
one of the runs is so. The service without a leak gets no serious suspect.

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
    logs = [work / f"{service}-{number}.log" for number in range(RUNS)]
    processes = [start(BUILD / service, log=log, env=with_probe(work / "ledgers")) for log in logs]
    taken = []
    for process, log in zip(processes, logs):
        wait_for(lambda: Truth(log).seconds >= AGE, AGE + 10)
        file = log.with_suffix(".heaptide")
        done = run(HEAPTIDE, "snapshot", process.pid, "--output", file)
        if check(done.returncode == 0, f"{service}: snapshot taken {done.stderr.strip()}"):
            taken.append((file, Truth(log)))
    for process in processes:
        stop(process)
    return [(analyze(file), truth) for file, truth in taken]


for service in ("activity-service", "activity-service-cxx"):
    deviations = []
    for report, truth in snapshots(service):
        suspect = first_suspect(report)
        check(0 < truth.bytes < LARGEST_NEIGHBOUR, f"{service}: the leak ({truth.bytes / MIB:.1f} MiB) is not the largest")
        if check(is_tracker(suspect), f"{service}: first suspect {function(suspect)}"):
            rate = suspect["bytesPerSecond"]
            known = (suspect["high"] - suspect["low"]) / 2 / rate
            deviations.append(deviation(rate, truth.rate()))
            check(
                known <= TOLERANCE,
                f"{service}: {rate / MIB:.3f} MiB/s, known to ±{known:.1%}, truth {truth.rate() / MIB:.3f} "
                f"({deviations[-1]:+.1%}), confidence {suspect['confidence']:.2f}")
    # One in twenty is off by more than it says, by chance.
    off = statistics.median(deviations) if deviations else math.inf
    check(abs(off) <= TOLERANCE, f"{service}: the middle one of {len(deviations)} rates is off by {off:+.1%}")
for report, _ in snapshots("healthy-service"):
    serious = [suspect for suspect in report["suspects"] if suspect["confidence"] >= LOW_CONFIDENCE]
    check(not serious, f"healthy-service: suspects above low confidence: {[function(s) for s in serious] or 'none'}")
finish()
