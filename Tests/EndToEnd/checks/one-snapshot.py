#!/usr/bin/env -S python3 -B
"""One snapshot is enough: 15 s after the start, while the leak is still smaller than the start-up table and the full
cache beside it, it ranks the leak first and gives its rate. The service without a leak gets no serious suspect.

    Tests/EndToEnd/checks/one-snapshot.py [RUNS]       default 1
"""

import sys

from support import *

AGE = 15
LARGEST_NEIGHBOUR = 48_000_000
TOLERANCE = 0.15
LOW_CONFIDENCE = 0.4


def snapshot(service, run_number):
    """Report and truth of a service at the age of 15 s, watched by the probe alone."""
    log, file = work / f"{service}-{run_number}.log", work / f"{service}-{run_number}.heaptide"
    process = start(BUILD / service, log=log, env=with_probe(work / "ledgers"))
    wait_for(lambda: Truth(log).seconds >= AGE, AGE + 10)
    taken = run(HEAPTIDE, "snapshot", process.pid, "--output", file)
    truth = Truth(log)
    stop(process)
    check(taken.returncode == 0, f"{service}: snapshot taken {taken.stderr.strip()}")
    return (analyze(file) if file.exists() else None), truth


for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    for service in ("activity-service", "activity-service-cxx"):
        report, truth = snapshot(service, number)
        suspect = first_suspect(report)
        check(0 < truth.bytes < LARGEST_NEIGHBOUR, f"{service}: the leak ({truth.bytes / MIB:.1f} MiB) is not the largest")
        if not check(is_tracker(suspect), f"{service}: first suspect {function(suspect)}"):
            continue
        off = deviation(suspect["bytesPerSecond"], truth.rate())
        check(
            abs(off) <= TOLERANCE,
            f"{service}: {suspect['bytesPerSecond'] / MIB:.3f} MiB/s, truth {truth.rate() / MIB:.3f} ({off:+.1%}), "
            f"confidence {suspect['confidence']:.2f}",
        )
    report, _ = snapshot("healthy-service", number)
    if report:
        serious = [suspect for suspect in report["suspects"] if suspect["confidence"] >= LOW_CONFIDENCE]
        check(not serious, f"healthy-service: suspects above low confidence: {[function(s) for s in serious] or 'none'}")
finish()
