"""The table of workloads. Each is one process whose user and system time counts, or a server under load."""

import shlex

from pairs import Figure, Workload
from servers import activity_api, redis
from ways import PYTHON, WORKLOADS, compile_c

from support import run, shutil


def program(name, title, bars, *command, env=None, python=False):
    def measure(way):
        return (way.cpu_seconds(*command, env=env),)

    return Workload(name, (Figure(title, "s of CPU", bars),), measure, python)


def compiler(source, *options):
    """The compiler proper, without the driver that starts it."""
    told = run("g++", "-###", *options, "-S", "-o", "/dev/null", source).stderr
    return next(shlex.split(line) for line in told.splitlines() if "/cc1plus" in line.strip().partition(" ")[0])


def all_workloads(quick):
    """Of about a second each, so that the few ms in which the probe is loaded and makes its ledger do not count, and python3
    of three: there it also learns for some milliseconds how to unwind hundreds of places. Quick ones of a quarter."""
    part = 4 if quick else 1
    churn = compile_c("churn.c")
    return [
        program(
            "pair", "malloc(64) and free in a tight loop", {"plain": 1.20, "forwarding": 1.10},
            compile_c("pair.c"), 100_000_000 // part),
        program(
            "churn-1", "churn, 10,000 blocks of 16–512 bytes, depth 20, 1 thread", {"plain": 1.03},
            churn, 20_000_000 // part, 1),
        program("churn-2", "the same, 2 threads", {"plain": 1.03}, churn, 10_000_000 // part, 2),
        redis("redis", "redis SET", 120_000 // part),
        redis("redis-pipelined", "redis SET, -P 16", 1_200_000 // part, "-P", 16),
        program(
            "sqlite3", "sqlite3, in memory", {"plain": 1.02},
            shutil.which("sqlite3"), ":memory:", f".read {WORKLOADS}/script.sql"),
        program(
            "cc1plus", "cc1plus, a large C++ file", {"plain": 1.02},
            *compiler(WORKLOADS / "templates.cpp", "-fsyntax-only", f"-DTYPES={8 // part}")),
        program(
            "python3", "python3, PYTHONMALLOC=malloc", {"plain": 1.03},
            PYTHON, WORKLOADS / "objects.py", 36 // part, env={"PYTHONMALLOC": "malloc"}, python=True),
        activity_api("http", 1 if quick else 2),
    ]
