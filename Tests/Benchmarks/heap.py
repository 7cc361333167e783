#!/usr/bin/env -S python3 -B
"""What reading a heap costs: for how long the process stands still, how long it takes in all, and the reader's memory.

    Tests/Benchmarks/heap.py [MILLIONS OF BLOCKS]…     default 1 10; 10 millions are about 1 GB
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "EndToEnd/checks"))
from support import *

PROGRAM = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <vector>
struct Event { virtual ~Event() = default; long user; char body[80]; };
std::unordered_map<long, std::vector<Event *>> events;
int main(int, char **arguments) {
    const long count = std::atol(arguments[1]) * 1000000;
    for (long i = 0; i < count; i++) events[i / 200].push_back(new Event);
    std::puts("ready");
    std::fflush(stdout);
    pause();
}
"""


def measure(program, millions):
    with subprocess.Popen([program, str(millions)], stdout=subprocess.PIPE, text=True) as service:
        try:
            service.stdout.readline()
            path = work / f"{millions}.heaptide"
            began = time.monotonic()
            command = [HEAPTIDE, "snapshot", str(service.pid), "--output", path, "--heap", "--freeze", "fork"]
            _, status, usage = os.wait4(os.posix_spawn(HEAPTIDE, command, os.environ), 0)
            took, peak = time.monotonic() - began, usage.ru_maxrss * 1024
            report = json.loads(run(HEAPTIDE, "analyze", path, "--format", "json").stdout) if status == 0 else {}
            root = next(iter(report.get("roots", [])), {})
            held = (root.get("container") or {}).get("count")
            check(held == millions * 5000, f"{millions} million blocks: {root.get('name')} has {held} entries")
            heap = report.get("heap") or {}
            note(
                f"{millions} million blocks, {heap.get('bytes', 0) / MIB:.0f} MiB: stood still for"
                f" {heap.get('pauseSeconds', 0):.2f} s, {took:.1f} s in all, {peak / MIB:.0f} MiB at the peak")
        finally:
            service.kill()


(work / "blocks.cpp").write_text(PROGRAM)
run("g++", "-std=c++17", "-O1", "-o", work / "blocks", work / "blocks.cpp", check=True, timeout=300)
for size in [int(argument) for argument in sys.argv[1:]] or [1, 10]:
    measure(work / "blocks", size)
finish()
