"""Servers under load on loopback: started afresh for each run, and loaded until they are warm before it counts."""

import contextlib
import itertools
import os
import re
import socket

from pairs import STARTS, Figure, Workload, in_slices, in_turn
from ways import WORKLOADS, Failed, end, on, program_of

from support import BUILD, Path, run, shutil, wait_for, work

_numbers = itertools.count(1)


@contextlib.contextmanager
def _running(way, is_ready, *command, **options):
    """The pid of a server that is ready for its load."""
    server = way.start(*command, **options)
    program = None
    try:
        if not wait_for(lambda: server.poll() is not None or is_ready(), 60, 0.01) or server.poll() is not None:
            raise Failed(f"{Path(command[0]).name} did not start")
        program = program_of(server.pid, command[0])
        yield program
    finally:
        end(server, program)


def _accepts(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _cpu_seconds(pid):
    """Of all threads, to the nanosecond; those that ended are not in it."""
    times = (path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, times)) / 1e9


def redis(name, title, requests, *options):
    """SET of random keys, over a Unix socket: the server on one core, who loads it on another, which never move."""
    cores = sorted(os.sched_getaffinity(0))
    server, client = shutil.which("redis-server"), shutil.which("redis-benchmark")

    def load(path, count, *options):
        what = ("-t", "set", "-r", 100_000, "-n", count, "--csv", *options)
        done = run(client, "-s", path, *what, timeout=300, **on({cores[-1]}))
        found = re.search(r'^"SET","([\d.]+)"', done.stdout, re.MULTILINE)
        if done.returncode != 0 or not found:
            raise Failed(f"redis-benchmark: {done.stderr.strip() or done.stdout.strip()}")
        return float(found.group(1))

    def measure(way):
        path = work / f"redis-{next(_numbers)}.sock"
        settings = ("--port", 0, "--unixsocket", path, "--save", "", "--dir", work, "--daemonize", "no")
        with _running(way, lambda: _accepts(path), server, *settings, **on({cores[0]})) as pid:
            load(path, 300_000, "-P", 16)  # so many that hardly a key is new afterwards
            before = _cpu_seconds(pid)
            throughput = load(path, requests, *options)
            return throughput, (_cpu_seconds(pid) - before) / requests * 1e6

    figures = (
        Figure(f"{title}: throughput", "requests/s", {"plain": 0.98}, higher_is_better=True),
        Figure(f"{title}: the server's CPU per request", "µs", {}),
    )
    return Workload(name, figures, in_turn(figures, measure, STARTS))


def activity_api(name):
    """The Swift sample on hummingbird, without its leak; wrk keeps 16 connections busy."""
    server = BUILD / "activity-api"

    def load(port):
        script = ("--latency", "-s", WORKLOADS / "activity.lua")
        done = run("wrk", "-t", 1, "-c", 16, "-d", "1s", *script, f"http://127.0.0.1:{port}")
        figures = {name: float(value) for name, value in re.findall(r"^(\w+) ([\d.]+)$", done.stdout, re.MULTILINE)}
        if done.returncode != 0 or "p99" not in figures:
            raise Failed(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
        if figures["errors"] > 0 or figures["requests"] == 0:
            raise Failed(f"wrk: {figures['errors']:.0f} errors in {figures['requests']:.0f} requests")
        return figures

    @contextlib.contextmanager
    def serve(way):
        log = work / f"activity-api-{next(_numbers)}.log"
        listening = lambda: re.search(r"^listening on (\d+)$", log.read_text(), re.MULTILINE)
        with _running(way, listening, server, "--port", 0, "--no-leak", log=log) as pid:
            port = listening().group(1)
            load(port)

            def measure():
                before = _cpu_seconds(pid)
                done = load(port)
                spent = _cpu_seconds(pid) - before
                return done["microseconds"] / done["requests"], done["p99"], spent / done["requests"] * 1e6

            yield measure

    title = "Swift HTTP service, wrk -c 16"
    figures = (
        Figure(f"{title}: time per request", "µs", {"plain": 1.03}),
        Figure(f"{title}: p99 latency", "µs", {"plain": 1.03}),
        Figure(f"{title}: the server's CPU per request", "µs", {}),
    )
    return Workload(name, figures, in_slices(serve))
