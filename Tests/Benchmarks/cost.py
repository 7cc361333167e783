#!/usr/bin/env -S python3 -B
"""What watching costs, as ratios of paired, interleaved runs (user and system time of the process, median over the
pairs), and what the agent itself needs while it watches one process.

    Tests/Benchmarks/cost.py [PAIRS [SECONDS]]      default 31 pairs, and the agent for 60 s: about 3 minutes
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "EndToEnd/checks"))
from support import *

LOOP_BUDGET, SQLITE_BUDGET = 1.2, 1.03
ANONYMOUS_BUDGET, RESIDENT_BUDGET, CPU_BUDGET = 12 * MIB, 48 * MIB, 0.005

LOOP = """
#include <stdlib.h>
int main(void) {
    for (long i = 0; i < 15000000; i++) {
        void *volatile block = malloc(64);
        free(block);
    }
}
"""

SQLITE = """
CREATE TABLE event(id INTEGER PRIMARY KEY, user TEXT, amount REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO event SELECT i, 'user-' || (i * 7919 % 5000), i * 0.25 FROM n;
CREATE INDEX by_user ON event(user);
SELECT count(*), sum(s) FROM (SELECT user, sum(amount) s FROM event GROUP BY user);
SELECT count(*) FROM event WHERE user LIKE '%77%';
"""


def cpu_seconds(command, environment):
    pid = os.posix_spawn(
        command[0], command, environment, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}")
    return usage.ru_utime + usage.ru_stime


def ratio(command, pairs):
    """Median of probed / plain over the pairs, whose order alternates, and that as text with what shows the noise."""
    environments = {"plain": dict(os.environ), "probed": with_probe(work / "ledgers")}
    for environment in environments.values():
        cpu_seconds(command, environment)
    times = {"plain": [], "probed": []}
    for pair in range(pairs):
        for name in sorted(environments, reverse=pair % 2 == 0):
            times[name].append(cpu_seconds(command, environments[name]))
    ratios = [probed / plain for plain, probed in zip(times["plain"], times["probed"])]
    low, middle, high = statistics.quantiles(ratios, n=4)
    fastest = min(times["probed"]) / min(times["plain"])
    return middle, f"{middle:.3f} × plain (quartiles {low:.3f} … {high:.3f} of {pairs} pairs, fastest runs {fastest:.3f})"


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


pairs, seconds = (int(argument) for argument in (sys.argv[1:] + ["31", "60"][len(sys.argv) - 1 :])[:2])
(work / "loop.c").write_text(LOOP)
(work / "script.sql").write_text(SQLITE)
run("gcc", "-O2", "-fno-builtin", "-o", work / "loop", work / "loop.c", check=True)
middle, text = ratio([str(work / "loop")], pairs)
check(middle <= LOOP_BUDGET, f"malloc and free in a tight loop: {text}, budget {LOOP_BUDGET}")
middle, text = ratio([shutil.which("sqlite3"), ":memory:", f".read {work}/script.sql"], pairs)
check(middle <= SQLITE_BUDGET, f"sqlite3 in memory: {text}, budget {SQLITE_BUDGET}")
agent(seconds)
finish()
