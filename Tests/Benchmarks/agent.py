#!/usr/bin/env -S python3 -B
"""What the agent itself needs while it watches one process. What watching costs that process is peers.py's to measure.

    Tests/Benchmarks/agent.py [SECONDS]     default 60
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "EndToEnd/checks"))
from support import *

ANONYMOUS_BUDGET, RESIDENT_BUDGET, CPU_BUDGET = 12 * MIB, 48 * MIB, 0.005


def status(pid):
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS")}


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def agent(seconds):
    ledgers_folder = work / "agent-ledgers"
    service = start(BUILD / "activity-service-cxx", log=work / "service.log", env=with_probe(ledgers_folder))
    watcher = start(HEAPTIDE, "agent", "--pid", service.pid, "--output", work, log=work / "agent.log")
    time.sleep(2)
    begin, spent = time.monotonic(), cpu_of(watcher.pid)
    highest = {"RssAnon": 0, "VmRSS": 0}
    while time.monotonic() - begin < seconds:
        time.sleep(1)
        if watcher.poll() is not None:
            check(False, f"agent: ended by itself: {(work / 'agent.log').read_text()}")
            return
        highest = {name: max(value, highest[name]) for name, value in status(watcher.pid).items()}
    share = (cpu_of(watcher.pid) - spent) / (time.monotonic() - begin)
    stop(watcher)
    stop(service)
    check(highest["RssAnon"] <= ANONYMOUS_BUDGET, f"agent: {highest['RssAnon'] / MIB:.1f} MiB anonymous at most (budget 12)")
    check(highest["VmRSS"] <= RESIDENT_BUDGET, f"agent: {highest['VmRSS'] / MIB:.1f} MiB resident at most (budget 48)")
    check(share <= CPU_BUDGET, f"agent: {share:.2%} of a core over {seconds} s (budget {CPU_BUDGET:.1%})")


agent(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
finish()
