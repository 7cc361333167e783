#!/usr/bin/env -S python3 -B
"""Killed for real: whatever is left of a killed service still names its leak first.

The C++ service leaks at 5, 50 and 200 MiB/s under `heaptide run` in a cgroup of 256 MiB until the kernel kills it; and
it is killed by SIGKILL at random moments with nothing but the probe in it.

    Tests/EndToEnd/checks/killed.py [OOM-RUNS-PER-RATE [SIGKILL-RUNS]]      default 10 50: about 12 minutes
"""

import random
import sys

from support import *

LIMIT = 256 * MIB
SEED = 20_240_601


def describe(evidence):
    """The newest piece of evidence that can be read, as text, and whether it names the leak first."""
    for path in reversed(evidence):
        suspect = first_suspect(analyze(path))
        if suspect:
            rate = f"{suspect['bytesPerSecond'] / MIB:6.1f} MiB/s, confidence {suspect['confidence']:.2f}"
            return is_tracker(suspect), f"{function(suspect)[:60]} {rate} in {path.name}"
    return False, f"nothing readable among {[path.name for path in evidence]}"


def out_of_memory(rate, number):
    output, folder = work / f"oom-{rate}-{number}", work / f"oom-ledgers-{rate}-{number}"
    output.mkdir()
    with MemoryCgroup(LIMIT) as group:
        if not group:
            note("skipped: this machine lets no memory cgroup be made")
            return
        command = group.command(HEAPTIDE, "run", "--output", output, "--", BUILD / "activity-service-cxx")
        environment = dict(os.environ, HEAPTIDE_DIR=str(folder))
        process = start(*command, "--rate", f"{rate}MiB", log=output / "log", env=environment)
        wait_for(lambda: process.poll() is not None, 180)
        status, kills = stop(process), group.kills()
    right, text = describe(ledgers(folder) + snapshots(output))
    triggers = [path.stem.rsplit("-", 1)[-1] for path in snapshots(output)]
    check(kills > 0, f"{rate} MiB/s, run {number}: the kernel killed {kills}")
    check(status == 128 + 9, f"{rate} MiB/s, run {number}: heaptide outlived the service and tells of it (status {status})")
    check(right, f"{rate} MiB/s, run {number}: {text}; snapshots: {', '.join(triggers) or 'none'}")


def killed_at_random(number, moment):
    folder = work / f"kill-{number}"
    process = start(BUILD / "activity-service-cxx", "--rate", "50MiB", env=with_probe(folder))
    time.sleep(moment)
    stop(process, signal.SIGKILL)
    right, text = describe(ledgers(folder))
    check(right, f"SIGKILL {number} after {moment:.2f} s: {text}")


runs, kills = (int(argument) for argument in (sys.argv[1:] + ["10", "50"][len(sys.argv) - 1 :])[:2])
for rate in (5, 50, 200):
    for number in range(1, runs + 1):
        out_of_memory(rate, number)
random.seed(SEED)
for number in range(1, kills + 1):
    killed_at_random(number, random.uniform(0.5, 5))
finish()
