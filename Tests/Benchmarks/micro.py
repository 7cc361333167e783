"""What one sample costs, and what the probe keeps in memory: bars in units of their own."""

import statistics
import subprocess
import sys
from dataclasses import dataclass

from pairs import say
from support import MIB, ledgers
from ways import ROOT, Way, Failed, compile_c, heaptide, run, work


@dataclass(frozen=True)
class Measured:
    title: str
    value: float
    bar: float
    unit: str
    note: str


def counters(reader, process):
    """The probe's account of itself in the ledger of a live process."""
    ledger = next((path for path in ledgers(work / "ledgers") if str(process.pid) in path.name), None)
    told = run(reader, ledger) if ledger else None
    if not told or told.returncode != 0:
        raise Failed("no ledger that can be read")
    return {name: int(value) for name, value in (line.split() for line in told.stdout.splitlines())}


def _interactive(way, *command):
    """A process that prints a line when a part of its work is done and waits for one before it goes on."""
    return subprocess.Popen(
        way.command(command), env=way.variables(None), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


def sample_cost(frames, bar, runs, milliseconds):
    """Time in the slow path per sample, once the first part has warmed it up: blocks of 64 KiB under a mean interval of
    1 KiB are all sampled."""
    program = compile_c("depth.c")
    reader = compile_c("counters.c", f"-I{ROOT}/Sources/CHeapLedger/include")
    costs, samples, differences = [], 0, []
    for number in range(runs):
        times = {}
        for way in (heaptide("1KiB"), Way("plain")):
            with _interactive(way, program, frames, milliseconds) as process:
                process.stdout.readline()
                before = counters(reader, process) if way.name == "heaptide" else None
                _go_on(process)
                times[way.name] = float(process.stdout.readline())
                if before:
                    after = counters(reader, process)
                    taken = after["slow_path_count"] - before["slow_path_count"]
                    costs.append((after["slow_path_ns"] - before["slow_path_ns"]) / max(taken, 1))
                    samples += taken
                _go_on(process)
        differences.append(times["heaptide"] - times["plain"])
        say(f"sample at depth {frames}: {number + 1} of {runs} runs")
    note = f"median of {runs} runs, {samples:,} samples; with its free {statistics.median(differences) / 1000:.2f} µs"
    return Measured(f"one warm sample, {frames} frames", statistics.median(costs) / 1000, bar, "µs", note)


def _resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))


def thread_memory(forwarding, threads, bar, runs):
    """Resident memory beyond that of the same program with a forwarding library, when each thread has churned through
    4 MiB, 64 times the sampling interval."""
    program = compile_c("threads.c")
    differences = []
    for number in range(runs):
        resident = {}
        for way in (forwarding, heaptide()):
            with _interactive(way, program, threads, 4096) as process:
                if process.stdout.readline() != "ready\n":
                    sys.exit(f"threads: did not get ready under {way.name}")
                resident[way.name] = _resident(process.pid)
                _go_on(process)
        differences.append(resident["heaptide"] - resident["forwarding"])
        say(f"{threads} threads: {number + 1} of {runs} runs")
    note = f"median of {runs} runs, highest {max(differences) / MIB:.1f} MiB; the ledger included"
    title = f"resident memory of the probe, {threads} threads that sample"
    return Measured(title, statistics.median(differences) / MIB, bar, "MiB", note)
