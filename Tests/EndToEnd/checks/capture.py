#!/usr/bin/env -S python3 -B
"""What sampling with default settings is good for, on programs whose allocations are known.

- A leak of 20 KB/s under 80 MB/s of healthy churn: its rate within 15% after two minutes.
- Growth by 20 MiB/s in 128 MiB until the kill: samples stay under 10 µs (99 of 100), or the probe backs off and says so.

    Tests/EndToEnd/checks/capture.py [RUNS [SECONDS]]       default 1 run, of 120 s
"""

import sys

from support import *

LEAK, CHURN = 20_000, 80_000_000
TOLERANCE = 0.15
P99_BUDGET = 10_000  # nanoseconds

SLOW_LEAK = """
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

static std::vector<char *> *remembered = new std::vector<char *>;
static double now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
__attribute__((noinline)) void remember() { remembered->push_back(static_cast<char *>(malloc(200))); }
__attribute__((noinline)) void churn(std::vector<void *> &ring, unsigned random) {
    void *&slot = ring[random % ring.size()];
    free(slot);
    slot = malloc(16 + random / 7 % 497);
}

int main(int, char **argv) {
    const double leak = atof(argv[1]), churned = atof(argv[2]);
    remembered->reserve(1 << 20);
    std::vector<void *> ring(10000);
    const double start = now();
    double leaked = 0, turned = 0;
    for (unsigned random = 1;;) {
        const double due = now() - start;
        for (; turned < due * churned; turned += 264) churn(ring, random = random * 1664525u + 1013904223u);
        for (; leaked < due * leak; leaked += 200) remember();
        const timespec pause = {0, 1000000};
        nanosleep(&pause, nullptr);
    }
}
"""

GROWTH = """
#include <cstdlib>
#include <ctime>
static void *volatile keep;
__attribute__((noinline)) void grow() {
    char *block = static_cast<char *>(malloc(1024));
    for (int i = 0; i < 1024; i += 64) block[i] = 1;
    keep = block;
}
int main() {
    for (;;) {
        for (int i = 0; i < 20; i++) grow();
        const timespec pause = {0, 1000000 - 50000};
        nanosleep(&pause, nullptr);
    }
}
"""


def compiled(name, source):
    file = work / f"{name}.cpp"
    file.write_text(source)
    run("g++", "-O2", "-g", "-fno-builtin", "-o", work / name, file, check=True)
    return work / name


def slow_leaks(runs, seconds):
    program = compiled("slow-leak", SLOW_LEAK)
    folders = [work / f"slow-{number}" for number in range(runs)]
    processes = [start(program, LEAK, CHURN, env=with_probe(folder)) for folder in folders]
    time.sleep(seconds)
    for number, process in enumerate(processes):
        file = work / f"slow-{number}.heaptide"
        run(HEAPTIDE, "snapshot", process.pid, "--output", file, "--ledgers", folders[number], check=True)
        stop(process, signal.SIGKILL)
        report = analyze(file)
        suspect = first_suspect(report)
        if not check(function(suspect).startswith("remember"), f"slow leak: first suspect {function(suspect)}"):
            continue
        off = deviation(suspect["bytesPerSecond"], LEAK)
        check(
            abs(off) <= TOLERANCE,
            f"slow leak: {suspect['bytesPerSecond'] / 1000:.2f} KB/s after {seconds} s, truth 20 ({off:+.1%}), one sample "
            f"in {report['sampling']['interval'] / 1024:.0f} KiB, confidence {suspect['confidence']:.2f}",
        )


def until_the_kill(runs):
    program = compiled("growth", GROWTH)
    for number in range(runs):
        folder = work / f"growth-{number}"
        with MemoryCgroup(128 * MIB) as group:
            if group is None:
                note("reclaim: skipped, no memory cgroup can be made here")
                return
            process = start(*group.command(program), env=with_probe(folder))
            process.wait(60)
            killed = group.kills()
        # The shell that entered the cgroup has left one too.
        reports = [analyze(ledger) for ledger in ledgers(folder) if ledger.name.startswith(f"{process.pid}-")]
        report = reports[-1] if reports else None
        if not check(killed > 0 and report, f"reclaim: killed ({killed}) and the ledger can be read"):
            continue
        probe = report["sampling"]["probe"]
        check(
            probe["p99Nanoseconds"] <= P99_BUDGET or 0 < probe["stalled"] and probe["p99Nanoseconds"] <= 10 * P99_BUDGET,
            f"reclaim: 99 of 100 samples under {probe['p99Nanoseconds'] / 1000:.1f} µs, the worst {probe['worstNanoseconds'] / 1000:.0f}"
            f" µs, backed off {probe['stalled']} times, {report['suspects'] and function(report['suspects'][0])}",
        )


runs, seconds = (int(argument) for argument in (sys.argv[1:] + ["1", "120"][len(sys.argv) - 1 :])[:2])
slow_leaks(runs, seconds)
until_the_kill(runs)
finish()
