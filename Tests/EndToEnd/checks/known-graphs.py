#!/usr/bin/env -S python3 -B
"""Heaps whose truth is known, in C++, Rust and Swift: each program of known-graphs/ has a map that a global holds, lists that
its threads hold, 100 stray words on each thread's stack, and loses blocks and cycles, unless it is told not to; it tells what
there is, and waits.

    Tests/EndToEnd/checks/known-graphs.py
"""

from support import *

SOURCES = Path(__file__).resolve().parent / "known-graphs"
WITHIN = 0.01
COMPILERS = {
    "graph.cpp": ["g++", "-std=c++17", "-O1", "-g", "-pthread"],
    "graph.rs": ["rustc", "-O", "-g"],
    "graph.swift": ["swiftc", "-O", "-g"],
}


def compiled(source):
    program = work / source.replace(".", "-")
    made = run(*COMPILERS[source], SOURCES / source, "-o", program, timeout=600)
    if made.returncode != 0:
        sys.exit(f"{source}: {made.stderr}")
    return program


def lost(leaks, is_cycle):
    return sum(leak["count"] for leak in leaks if leak["cycle"] == is_cycle)


for source in COMPILERS:
    program = compiled(source)
    truth, report = look_at(source, program)
    if report:
        root = report["roots"][0]
        off = deviation(root["retainedBytes"], truth["bytes"])
        check(truth["holder"] in root["name"], f"{source}: the first holder is {root['name']}")
        container = root["container"] or {}
        check(
            (container.get("kind"), container.get("count")) == (truth["container"], truth["count"]),
            f"{source}: {container.get('kind')} of {container.get('count')} entries")
        check(
            abs(off) <= WITHIN,
            f"{source}: it retains {root['retainedBytes']:,} bytes, truth {truth['bytes']:,} ({off:+.2%})")
        if truth["owners"]:
            own = [other for other in report["roots"] if truth["own"] in other["name"] and other["kind"] == "threadLocal"]
            counts = [other["retainedCount"] for other in own]
            check(
                len({other["thread"] for other in own}) == truth["owners"]
                and all(abs(deviation(count, truth["ownBlocks"])) <= WITHIN for count in counts),
                f"{source}: one {truth['own']} a thread, of {counts} blocks, truth {truth['ownBlocks']}")
        found, there = (lost(report["leaks"], False), lost(report["leaks"], True)), (truth["lost"], truth["inCycles"])
        check(found == there, f"{source}: lost {found[0]}, in cycles {found[1]}, truth {there[0]}, {there[1]}")
    truth, report = look_at(f"{source}-clean", program, "--clean")
    if report:
        check(report["leaks"] == [], f"{source}, which loses nothing: {report['leaks']}")
finish()
