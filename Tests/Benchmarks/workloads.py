"""The table of workloads. Each is one process whose user and system time counts, or a server under load."""

import os
import shlex
import statistics

from pairs import Figure, Workload, in_turn, try_one
from servers import activity_api, redis
from ways import PYTHON, WORKLOADS, Failed, compile_c, cpu_seconds, first_to_end, running

from support import run, shutil


def program(name, title, bars, *command, env=None, python=False):
    """Each way beside plain, on two cores at the same time, and again with the cores exchanged: what else the machine does
    meets both alike. (25 such pairs of python3 and itself differed by 3.5%; run after run, it varies by 10%.)"""
    cores = sorted(os.sched_getaffinity(0))

    def beside(plain, way, cores):
        places = [{cores[0]}, {cores[-1]}]
        processes = [one.launch(*command, env=env, cores=place) for one, place in zip((plain, way), places)]
        spent, failures = [], []
        # Whoever takes longer must not have the machine for itself at the end.
        with running(lambda: plain.launch(*command, env=env, cores=places[first_to_end(processes)])):
            for process in processes:
                try:
                    spent.append(cpu_seconds(process))
                except Failed as failure:
                    failures.append(failure)
        if failures:
            raise failures[0]
        return spent

    def measure(ways):
        plain = next(way for way in ways if way.name == "plain")
        seconds, ratios = [], {}

        def ratio(way):
            pairs = [beside(plain, way, order) for order in (cores, cores[::-1])]
            seconds.extend(alone for alone, _ in pairs)
            return statistics.geometric_mean(watched / alone for alone, watched in pairs)

        for way in ways:
            if way is not plain:
                try_one(ratios, way, lambda: ratio(way))
        alone = statistics.median(seconds) if seconds else None
        outcomes = {name: one if isinstance(one, Failed) else (one * alone,) for name, one in ratios.items()}
        return {**outcomes, plain.name: (alone,)} if seconds else outcomes

    return Workload(name, (Figure(title, "s of CPU", bars),), measure, python)


def threads(name, title, bars, *command):
    """A program that needs all cores."""
    figures = (Figure(title, "s of CPU", bars),)
    return Workload(name, figures, in_turn(figures, lambda way: (cpu_seconds(way.launch(*command)),)))


def compiler(source, *options):
    """The compiler proper, without the driver that starts it."""
    told = run("g++", "-###", *options, "-S", "-o", "/dev/null", source).stderr
    return next(shlex.split(line) for line in told.splitlines() if "/cc1plus" in line.strip().partition(" ")[0])


def all_workloads(quick):
    """Of about a second each, of redis half, so that the few ms in which the probe is loaded and makes its ledger do not
    count, and python3 of three: there it also learns for some milliseconds how to unwind hundreds of places. Quick ones
    do a quarter."""
    part = 4 if quick else 1
    churn = compile_c("churn.c")
    return [
        program(
            "pair", "malloc(64) and free in a tight loop", {"plain": 1.20, "forwarding": 1.10},
            compile_c("pair.c"), 100_000_000 // part),
        program(
            "churn-1", "churn, 10,000 blocks of 16–512 bytes, depth 20, 1 thread", {"plain": 1.03},
            churn, 20_000_000 // part, 1),
        threads("churn-2", "the same, 2 threads", {"plain": 1.03}, churn, 10_000_000 // part, 2),
        redis("redis", "redis SET", 40_000 // part),
        redis("redis-pipelined", "redis SET, -P 16", 400_000 // part, "-P", 16),
        program(
            "sqlite3", "sqlite3, in memory", {"plain": 1.02},
            shutil.which("sqlite3"), ":memory:", f".read {WORKLOADS}/script.sql"),
        program(
            "cc1plus", "cc1plus, a large C++ file", {"plain": 1.02},
            *compiler(WORKLOADS / "templates.cpp", "-fsyntax-only", f"-DTYPES={8 // part}")),
        program(
            "python3", "python3, PYTHONMALLOC=malloc", {"plain": 1.03},
            PYTHON, WORKLOADS / "objects.py", 36 // part, env={"PYTHONMALLOC": "malloc"}, python=True),
        activity_api("http"),
    ]
