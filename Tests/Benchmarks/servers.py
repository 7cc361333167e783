"""Servers under load on loopback: started afresh for each run, and loaded until they are warm before it counts."""

import itertools
import re

from pairs import Figure, Workload
from support import BUILD
from ways import WORKLOADS, Failed, run, shutil, wait_for, work

_numbers = itertools.count(1)


def redis(name, title, figure, requests, *options):
    """SET of random keys; the number of requests a second."""
    server, client = shutil.which("redis-server"), shutil.which("redis-benchmark")

    def load(socket, count):
        load = ("-t", "set", "-r", 100_000, "-n", count, "--csv", *options)
        done = run(client, "-s", socket, *load, timeout=300)
        found = re.search(r'^"SET","([\d.]+)"', done.stdout, re.MULTILINE)
        if done.returncode != 0 or not found:
            raise Failed(f"redis-benchmark: {done.stderr.strip() or done.stdout.strip()}")
        return float(found.group(1))

    def measure(way):
        socket = work / f"redis-{next(_numbers)}.sock"
        settings = ("--port", 0, "--unixsocket", socket, "--save", "", "--dir", work, "--daemonize", "no")
        process = way.start(server, *settings)
        try:
            if not wait_for(lambda: socket.exists() or process.poll() is not None, 60, 0.01) or not socket.exists():
                raise Failed("redis-server did not start")
            load(socket, requests // 4)
            return (load(socket, requests),)
        finally:
            way.end(process, server)

    return Workload(name, (Figure(title, figure.unit, figure.bars, figure.higher_is_better),), measure)


def activity_api(name, seconds):
    """The Swift sample on hummingbird, without its leak; what wrk measures with 16 connections that never wait."""
    server = BUILD / "activity-api"

    def load(port, duration):
        script = ("--latency", "-s", WORKLOADS / "activity.lua")
        done = run("wrk", "-t", 1, "-c", 16, "-d", f"{duration}s", *script, f"http://127.0.0.1:{port}")
        figures = dict(re.findall(r"^(\w+) ([\d.]+)$", done.stdout, re.MULTILINE))
        if done.returncode != 0 or "p99" not in figures:
            raise Failed(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
        if float(figures["errors"]) > 0 or float(figures["requests"]) == 0:
            raise Failed(f"wrk: {figures['errors']} errors in {figures['requests']} requests")
        return float(figures["microseconds"]) / float(figures["requests"]), float(figures["p99"])

    def measure(way):
        log = work / f"activity-api-{next(_numbers)}.log"
        process = way.start(server, "--port", 0, "--no-leak", log=log)
        try:
            listens = wait_for(lambda: re.search(r"^listening on (\d+)$", log.read_text(), re.MULTILINE), 60, 0.01)
            if not listens:
                raise Failed("activity-api did not start")
            load(listens.group(1), 1)
            return load(listens.group(1), seconds)
        finally:
            way.end(process, server)

    title = "Swift HTTP service, wrk -c 16"
    figures = (
        Figure(f"{title}: time per request", "µs", {"plain": 1.03}),
        Figure(f"{title}: p99 latency", "µs", {"plain": 1.03}),
    )
    return Workload(name, figures, measure)
