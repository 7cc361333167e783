#!/usr/bin/env -S python3 -B
"""The quickstart with each service: it ends well within three minutes, names the tracker's insertion first and its growth within
10% of what the service counted itself.

    Tests/EndToEnd/checks/quickstart.py [--rates] [SERVICE …]       default --swift --cxx
"""

import sys

from support import *

TOLERANCE = 0.10
PATIENCE = 180
# What the neighbours need to settle: the truth is taken over the rest.
WARM_UP = 5

# Built here, so that the time that is measured is the quickstart's own.
run("swift", "build", "--package-path", ROOT, "-c", "release", timeout=3600, check=True)
for service in [name for name in sys.argv[1:] if name != "--rates"] or ["--swift", "--cxx"]:
    parent = work / f"quickstart{service}"
    parent.mkdir()
    begin = time.monotonic()
    result = run(ROOT / "samples/quickstart.sh", service, timeout=600, env=dict(os.environ, TMPDIR=str(parent)))
    seconds = time.monotonic() - begin
    check(result.returncode == 0 and seconds < PATIENCE, f"{service}: status {result.returncode} after {seconds:.0f} s")
    if result.returncode != 0:
        note(result.stdout[-2000:] + result.stderr[-2000:])
        continue
    [output] = parent.glob("heaptide-quickstart.*")  # the build leaves folders of its own there
    [taken] = output.glob("*-limit.heaptide")
    suspect = first_suspect(analyze(taken))
    check(is_tracker(suspect), f"{service}: first suspect {function(suspect)}")
    if suspect:
        truth = Truth(output / "service.log").rate(since=WARM_UP)
        off = deviation(suspect["bytesPerSecond"], truth)
        # One run's rate is a random figure: it is judged where somebody looks at it, and told everywhere.
        verdict = check if "--rates" in sys.argv else lambda _, text: note(text)
        verdict(
            abs(off) <= TOLERANCE,
            f"{service}: {suspect['bytesPerSecond'] / MIB:.3f} MiB/s, truth {truth / MIB:.3f} ({off:+.1%}), "
            f"confidence {suspect['confidence']:.2f}",
        )
finish()
