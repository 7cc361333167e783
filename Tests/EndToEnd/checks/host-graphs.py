#!/usr/bin/env -S python3 -B
"""Heaps of programs that nobody made for this: who holds what in redis-server (whose allocator is jemalloc: by the probe's
record of every allocation), sqlite3 and python3 makes sense, and hardly anything is told as lost.

    Tests/EndToEnd/checks/host-graphs.py
"""

from support import *

LOST = 0.001
KEYS = 20_000


def looked_at(name, pid):
    path = work / f"{name}.heaptide"
    taken = run(HEAPTIDE, "snapshot", pid, "--output", path, "--heap")
    if not check(taken.returncode == 0, f"{name}: a snapshot with its heap {taken.stderr.strip()}"):
        return None
    report = analyze(path)
    total, lost = report["heap"]["bytes"], sum(leak["bytes"] for leak in report["leaks"])
    check(lost <= LOST * total, f"{name}: {lost:,} of {total:,} bytes are led to by nothing")
    for root in report["roots"][:4]:
        held = root["container"]
        what = f", {held['kind']} of {held['count']:,}" if held else ""
        note(f"{name}: {root['name'] or root['kind']} retains {root['retainedBytes']:,} bytes{what}")
    note(f"{name}: several together {report['heap']['sharedBytes']:,} bytes")
    return report


def share(report, *names):
    """Of the heap, what variables of these names retain, with what several of them hold together."""
    alone = sum(root["retainedBytes"] for root in report["roots"] if root["name"] in names)
    together = sum(
        thing["retainedBytes"] for thing in report["objects"]
        if thing["root"] is None and thing["above"] is None
        and any(report["roots"][owner]["name"] in names for owner in thing["owners"]))
    return (alone + together) / report["heap"]["bytes"]


def redis():
    port = free_port()
    server = start(
        HEAPTIDE, "run", "--output", work / "redis", "--interval", 1, "--",
        "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", work, log=work / "redis.log")
    wait_for(lambda: is_listening(port), 20)
    lines = "".join(f"SET key:{number} {'v' * 200}\r\nLPUSH list {number}\r\n" for number in range(KEYS))
    fed = subprocess.run(["redis-cli", "-p", str(port), "--pipe"], input=lines, text=True, capture_output=True, timeout=60)
    check(f"replies: {2 * KEYS}" in fed.stdout, f"redis: {2 * KEYS:,} commands answered")
    used = int(re.search(r"used_memory:(\d+)", run("redis-cli", "-p", port, "INFO", "memory").stdout)[1])
    pid = int(re.search(r"process_id:(\d+)", run("redis-cli", "-p", port, "INFO", "server").stdout)[1])
    report = looked_at("redis", pid)
    if report:
        off = deviation(report["heap"]["bytes"], used)
        check(abs(off) <= 0.1, f"redis: {report['heap']['bytes']:,} bytes, by its own account {used:,} ({off:+.1%})")
        held = share(report, "server")
        check(held >= 0.8, f"redis: its global `server` holds {held:.0%}, alone or with others")
    stop(server)


def sqlite():
    shell = subprocess.Popen(
        ["sqlite3", ":memory:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    shell.stdin.write(
        "CREATE TABLE t(a, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        " INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;\n.print ready\n")
    shell.stdin.flush()
    shell.stdout.readline()
    report = looked_at("sqlite3", shell.pid)
    if report:
        biggest = report["roots"][0]
        check(
            biggest["retainedBytes"] >= 0.9 * report["heap"]["bytes"],
            f"sqlite3: the {biggest['name'] or biggest['kind']} holds {biggest['retainedBytes'] / report['heap']['bytes']:.0%}")
    shell.stdin.close()
    shell.wait(20)


def python():
    program = "cache = {n: [str(n)] * 3 for n in range(100000)}\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"
    shell = subprocess.Popen(
        ["/usr/bin/python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONMALLOC="malloc"))
    shell.stdout.readline()
    report = looked_at("python3", shell.pid)
    if report:
        held = share(report, "_PyRuntime")
        check(held >= 0.3, f"python3: of its global `_PyRuntime`, alone or with others, hang {held:.0%}")
    shell.stdin.close()
    shell.wait(20)


redis()
sqlite()
python()
finish()
