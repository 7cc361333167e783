"""What the checks share: the programs under test, processes and cgroups of their own, and the count of what passed.

Whatever a check starts or makes is ended and removed when it leaves, however it leaves.
"""

import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("HEAPTIDE_BUILD", ROOT / ".build/release")).resolve()
HEAPTIDE = BUILD / "heaptide"
PROBE = BUILD / "libheaptide-probe.so"
MIB = 1 << 20

#: The function of the samples that leaks, as Swift and C++ spell it.
TRACKER = re.compile(r"UserActivityTracker(\.|::)record\b")

work = Path(tempfile.mkdtemp(prefix="heaptide-test-"))
_processes = []
_groups = []
_passed = _failed = 0


def _clean_up():
    for process in _processes:
        if process.poll() is None:
            process.terminate()
    for process in _processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for group in _groups:
        _cgroup("remove", group)
    shutil.rmtree(work, ignore_errors=True)


atexit.register(_clean_up)
for _signal in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_signal, lambda number, _: sys.exit(128 + number))


# Checks


def check(passed, text):
    """Counts and prints one check, and hands on whether it passed."""
    global _passed, _failed
    if passed:
        _passed += 1
    else:
        _failed += 1
    print(f"{'ok    ' if passed else 'FAILED'} {text}", flush=True)
    return passed


def note(text):
    print(f"       {text}", flush=True)


def finish(measured=False):
    """Ends with status 1 where a check failed. What only measures ends with 0: its bars are told, not enforced."""
    print(f"{_passed} passed, {_failed} failed")
    sys.exit(1 if not measured and (_failed or not _passed) else 0)


# Processes


def start(*command, log=None, **options):
    """A process that ends at the latest with this script; its output goes to `log` or nowhere."""
    output = open(log, "wb") if log else subprocess.DEVNULL
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.STDOUT)
    process = subprocess.Popen([str(part) for part in command], stdout=output, **options)
    if log:
        output.close()
    _processes.append(process)
    return process


def stop(process, number=signal.SIGTERM, patience=30):
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run(*command, timeout=120, **options):
    """A process that is waited for, with its output as text."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, errors="replace", timeout=timeout, **options
    )


def wait_for(condition, seconds, pause=0.05):
    """The first true value of `condition()`, or None when the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    return None


def with_probe(ledgers, interval=None):
    """An environment in which programs record into the folder `ledgers`, without an agent."""
    environment = dict(os.environ, LD_PRELOAD=str(PROBE), HEAPTIDE_DIR=str(ledgers))
    environment.pop("HEAPTIDE_SAMPLE_INTERVAL", None)
    if interval:
        environment["HEAPTIDE_SAMPLE_INTERVAL"] = str(interval)
    return environment


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# Memory cgroups


def _cgroup(*arguments):
    return run(ROOT / "samples/memory-cgroup.sh", *arguments)


class MemoryCgroup:
    """A cgroup with a limit in bytes, of either version. `with` gives None where none can be made."""

    def __init__(self, limit):
        self.limit = limit

    def __enter__(self):
        made = _cgroup("create", f"heaptide-test-{os.getpid()}-{time.monotonic_ns()}", self.limit)
        if made.returncode != 0:
            return None
        self.folder = made.stdout.strip()
        _groups.append(self.folder)
        return self

    def __exit__(self, *_):
        _cgroup("remove", self.folder)
        _groups.remove(self.folder)

    def command(self, *command):
        return [ROOT / "samples/memory-cgroup.sh", "run", self.folder, *command]

    def kills(self):
        return int(_cgroup("kills", self.folder).stdout or 0)


# Heaptide and the samples


def analyze(path, timeout=120):
    """The report on a snapshot or ledger; None where heaptide cannot give one."""
    result = run(HEAPTIDE, "analyze", path, "--format", "json", timeout=timeout)
    if result.returncode != 0:
        note(f"analyze {Path(path).name}: status {result.returncode}, {result.stderr.strip()}")
        return None
    return json.loads(result.stdout)


def look_at(name, *command):
    """What a program prints as one line of JSON before it waits, and the report on who holds its heap then, or None."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        truth = json.loads(process.stdout.readline())
        taken = work / f"{name}.heaptide"
        made = run(HEAPTIDE, "snapshot", process.pid, "--heap", "--output", taken)
        return truth, analyze(taken) if check(made.returncode == 0, f"{name}: a snapshot {made.stderr.strip()}") else None
    finally:
        process.kill()
        process.wait()


def first_suspect(report):
    return report["suspects"][0] if report and report["suspects"] else None


def function(suspect):
    """The program's own function that the suspect names."""
    return suspect["stack"][0]["function"] if suspect and suspect["stack"] else "none"


def is_tracker(suspect):
    return bool(TRACKER.search(function(suspect)))


def snapshots(folder):
    """Oldest first."""
    return sorted(Path(folder).glob("*.heaptide"), key=lambda path: path.stat().st_mtime_ns)


def ledgers(folder):
    return sorted(Path(folder).rglob("*.ledger"), key=lambda path: path.stat().st_mtime_ns)


class Truth:
    """What a sample says that its tracker holds: points of (seconds, bytes), one a second."""

    def __init__(self, log):
        lines = re.findall(r"seconds=([\d.]+) events=\d+ tracker_bytes=(\d+)\n", Path(log).read_text())
        self.points = [(float(seconds), float(size)) for seconds, size in lines]

    def rate(self, since=0.0):
        """Bytes per second from the first point after `since` to the last; 0 before there are two. While it ends, the
        service serves no more."""
        points = [point for point in self.points if point[0] >= since]
        while len(points) > 2 and points[-1][1] - points[-2][1] < (points[1][1] - points[0][1]) / 2:
            points.pop()
        if len(points) < 2:
            return 0.0
        (t0, b0), (t1, b1) = points[0], points[-1]
        return (b1 - b0) / (t1 - t0)

    @property
    def seconds(self):
        return self.points[-1][0] if self.points else 0.0

    @property
    def bytes(self):
        return self.points[-1][1] if self.points else 0.0


def deviation(value, truth):
    """Relative difference, infinite where there is no truth."""
    return (value - truth) / truth if truth else float("inf")
