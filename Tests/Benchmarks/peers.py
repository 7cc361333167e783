#!/usr/bin/env -S python3 -B
"""What watching costs, side by side: programs run plain, with a library that only forwards, with heaptide, and with the
peers that Debian and PyPI provide, in pairs at one time or in turn. One table in Markdown, on stdout and in a file.

    Tests/Benchmarks/peers.py [--pairs N] [--only WORKLOAD]… [--no-peers] [--quick] [--output FILE]

Ends with status 0 when all was measured; whether heaptide keeps its bars stands in the table and the last line. Needs
samples/install-packages.sh --benchmarks, a release build, and about an hour on a machine that does nothing else.
"""

import argparse
import sys
from pathlib import Path

from micro import sample_cost, thread_memory
from pairs import OWN, compare, say
from table import bars, markdown, shown
from ways import PYTHON, Failed, all_ways
from workloads import all_workloads

from support import BUILD, PROBE, ROOT, check, finish, shutil

PROGRAMS = ("g++", "gcc", PYTHON, "redis-benchmark", "redis-server", "sqlite3", "wrk")

#: Name of --only → what measures it, from a number of runs, milliseconds of work and the forwarding way.
MICRO = {
    "sample-20": lambda runs, milliseconds, _: sample_cost(20, 0.5, runs, milliseconds),
    "sample-100": lambda runs, milliseconds, _: sample_cost(100, 1.2, runs, milliseconds),
    "threads": lambda runs, _, forwarding: thread_memory(forwarding, 200, 24, runs),
}


def require_programs():
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        _cannot(f"no {', '.join(missing)} here: run samples/install-packages.sh --benchmarks")
    unbuilt = [path.name for path in (PROBE, BUILD / "activity-api") if not path.exists()]
    if unbuilt:
        _cannot(f"no {', '.join(unbuilt)} in {BUILD}: run swift build -c release --disable-local-rpath")


def _cannot(reason):
    say(f"peers.py: {reason}")
    sys.exit(3)


def options():
    parser = argparse.ArgumentParser(description="What watching costs, side by side, as one table.")
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs of runs (default 15, with --quick 3)")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="leave out the others; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="nothing but plain, forwarding only and heaptide")
    parser.add_argument("--quick", action="store_true", help="short workloads and few pairs, to see that it works")
    parser.add_argument("--output", type=Path, default=ROOT / ".build/peers.md", help="default .build/peers.md")
    given = parser.parse_args()
    given.pairs = (3 if given.quick else 15) if given.pairs is None else given.pairs
    if given.pairs < 1:
        parser.error("--pairs: needs at least 1")
    workloads = all_workloads(given.quick)
    names = [workload.name for workload in workloads] + list(MICRO)
    for name in given.only or []:
        if name not in names:
            parser.error(f"--only: no {name}; there are {', '.join(names)}")
    given.only = given.only or names
    return given, [workload for workload in workloads if workload.name in given.only]


def measure_micro(names, quick, forwarding):
    runs, milliseconds = (3, 200) if quick else (9, 1000)
    measured = []
    for name, measure in MICRO.items():
        if name in names:
            try:
                measured.append(measure(runs, milliseconds, forwarding))
            except Failed as failure:
                check(False, f"{name}: {failure}")
    return measured


def judge(all_results, micro):
    for results in all_results:
        for name in OWN:
            if name in results.failures:
                check(False, f"{results.workload.name}, {name}: {results.failures[name]}")
        for figure, base, bar, ratio in bars(results):
            text = f"{shown(ratio)} × {base}" if ratio else "not measured"
            sign = "≥" if figure.higher_is_better else "≤"
            check(ratio and figure.passes(ratio.median, bar), f"{figure.title}: {text} (bar {sign} {bar:.2f})")
    for one in micro:
        check(one.value <= one.bar, f"{one.title}: {one.value:.2f} {one.unit} (bar ≤ {one.bar:g}), {one.note}")


def is_complete(given, all_results, micro):
    wanted = sum(name in MICRO for name in given.only)
    return len(micro) == wanted and not any(name in results.failures for results in all_results for name in OWN)


def main():
    require_programs()
    given, workloads = options()
    slow_pairs = max(1, given.pairs // 5)
    ways, missing = all_ways(not given.no_peers, python=any(workload.python for workload in workloads))
    for reason in missing:
        say(reason)
    all_results = [compare(workload, ways, given.pairs, slow_pairs) for workload in workloads]
    forwarding = next(way for way in ways if way.name == "forwarding")
    micro = measure_micro(given.only, given.quick, forwarding)
    table = markdown(all_results, micro, ways, missing, given.pairs, slow_pairs)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(table)
    print(table)
    judge(all_results, micro)
    say(f"The table is in {given.output}")
    finish(measured=is_complete(given, all_results, micro))


main()
