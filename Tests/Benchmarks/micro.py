"""What one sample costs, and what the probe keeps in memory: bars in units of their own."""

import statistics
import subprocess
from dataclasses import dataclass

from pairs import say
from ways import Failed, compile_c, forget, heaptide

from support import MIB, ROOT, run, work


@dataclass(frozen=True)
class Measured:
    title: str
    value: float
    bar: float
    unit: str
    note: str


def _counters(process):
    """The probe's account of itself in the ledger of a live process."""
    reader = compile_c("counters.c", f"-I{ROOT}/Sources/CHeapLedger/include")
    ledger = next((work / "ledgers").glob(f"{process.pid}-*.ledger"), None)
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
    """Time in the slow path per sample, once the first part has warmed it up. Exact, since that is never paced: at some
    thousand samples a second each would find the caches cold."""
    program = compile_c("depth.c")
    costs, samples = [], 0
    for number in range(runs):
        with _interactive(heaptide("1"), program, frames, milliseconds) as process:
            process.stdout.readline()
            before = _counters(process)
            _go_on(process)
            process.stdout.readline()
            after = _counters(process)
            _go_on(process)
        forget()
        taken = after["slow_path_count"] - before["slow_path_count"]
        if taken == 0:
            raise Failed("nothing was sampled")
        costs.append((after["slow_path_ns"] - before["slow_path_ns"]) / taken / 1000)
        samples += taken
        say(f"sample at depth {frames}: {number + 1} of {runs} runs, {costs[-1]:.2f} µs")
    note = f"median of {runs} runs, lowest {min(costs):.2f} µs, {samples:,} samples"
    return Measured(f"one warm sample, {frames} frames", statistics.median(costs), bar, "µs", note)


def _resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))


def thread_memory(forwarding, threads, bar, runs):
    """Resident memory beyond that of the same program with a forwarding library, when each thread has churned through
    4 MiB, 512 times the sampling interval. A probe that takes no stacks keeps no memory for them: the note tells."""
    program = compile_c("threads.c")
    differences, samples, without_stack = [], 0, 0
    for number in range(runs):
        resident = {}
        for way in (forwarding, heaptide()):
            with _interactive(way, program, threads, 4096) as process:
                if process.stdout.readline() != "ready\n":
                    raise Failed(f"the program did not get ready under {way.name}")
                resident[way.name] = _resident(process.pid)
                if way.name == "heaptide":
                    account = _counters(process)
                _go_on(process)
        forget()
        samples += account["samples_taken"]
        without_stack += account["stacks_failed"]
        differences.append(resident["heaptide"] - resident["forwarding"])
        say(f"{threads} threads: {number + 1} of {runs} runs, {differences[-1] / MIB:.1f} MiB")
    note = (
        f"median of {runs} runs, highest {max(differences) / MIB:.1f} MiB; {without_stack / samples:.1%} of the samples"
        " without a stack; the ledger included")
    title = f"resident memory of the probe, {threads} threads that sample"
    return Measured(title, statistics.median(differences) / MIB, bar, "MiB", note)
