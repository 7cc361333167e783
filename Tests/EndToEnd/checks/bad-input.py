#!/usr/bin/env -S python3 -B
"""Bad input and bad places: always a one-line error that says what to do and exit status 3, or the part that is valid;
nothing is lost and nothing crashes.

    Tests/EndToEnd/checks/bad-input.py [DAMAGED-LEDGERS]      default 200; 10000 is the whole check: about 15 minutes
"""

import concurrent.futures
import hashlib
import random
import sys

from support import *

SEED = 4711
CUTS = 20
NOBODY = 65534


def refuses(text, *command, saying="", **options):
    """The command must end with status 3 and one line that begins with `heaptide: ` and has `saying` in it."""
    result = run(*command, **options)
    lines = result.stderr.strip().split("\n")
    good = result.returncode == 3 and len(lines) == 1 and lines[0].startswith("heaptide: ") and saying in lines[0]
    check(good, f"{text}: {result.stderr.strip()[:220]!r}, status {result.returncode}")


def survives(result):
    """Either an answer, or an error in order."""
    if result.returncode == 3:
        return result.stderr.startswith("heaptide: ") and result.stderr.count("\n") == 1
    return result.returncode == 0 and json.loads(result.stdout)["verdict"]["class"] is not None


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def as_nobody():
    """Options for `run` that drop root's rights, with which nothing is ever forbidden."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def files(snapshot):
    refuses("missing file", HEAPTIDE, "analyze", work / "absent.heaptide")
    for name, content in {
        "text.heaptide": b"Not a snapshot.\n" * 1000,
        "empty.heaptide": b"",
        "text.ledger": b"Not a ledger.\n" * 1000,
        "zeros.ledger": bytes(1 << 20),
    }.items():
        (work / name).write_bytes(content)
        refuses(name, HEAPTIDE, "analyze", work / name)
    run("sqlite3", work / "foreign.heaptide", "CREATE TABLE t(x); INSERT INTO t VALUES(1)", check=True)
    refuses("another program's database", HEAPTIDE, "analyze", work / "foreign.heaptide")
    refuses("a folder", HEAPTIDE, "analyze", work)

    whole, before = snapshot.read_bytes(), digest(snapshot)
    answers = 0
    for number in range(CUTS):
        size = len(whole) * number // CUTS
        cut = work / f"cut-{number}.heaptide.partial"
        cut.write_bytes(whole[:size])
        copy = digest(cut)
        result = run(HEAPTIDE, "analyze", cut, "--format", "json")
        answers += result.returncode == 0
        check(survives(result) and digest(cut) == copy, f"cut to {size:,} of {len(whole):,} bytes: status {result.returncode} {result.stderr.strip()[:160]}")
    note(f"{answers} of {CUTS} cut snapshots still gave an answer")
    check(digest(snapshot) == before, "the whole snapshot is as it was")


def damage(ledger, seeds):
    """Flips bytes at random, half of them in the header and the first records; returns the seeds that went wrong."""
    whole, bad, answers = ledger.read_bytes(), [], 0
    victim = work / f"damaged-{seeds[0]}.ledger"
    victim.write_bytes(whole)
    for seed in seeds:
        dice = random.Random(seed)
        places = [dice.randrange(len(whole) if dice.random() < 0.5 else 8192) for _ in range(dice.choice([1, 8, 64]))]
        with victim.open("r+b") as file:
            for place in places:
                file.seek(place)
                file.write(bytes([dice.randrange(256)]))
        try:
            result = run(HEAPTIDE, "analyze", victim, "--format", "json", timeout=60)
            answers += result.returncode == 0
            if not survives(result):
                bad.append((seed, result.returncode, result.stderr[-300:]))
        except subprocess.TimeoutExpired:
            bad.append((seed, "timeout", ""))
        with victim.open("r+b") as file:
            for place in places:
                file.seek(place)
                file.write(whole[place : place + 1])
    return bad, answers


def damaged_ledgers(ledger, count):
    seeds = list(range(SEED, SEED + count))
    parts = [part for part in (seeds[::2], seeds[1::2]) if part]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda part: damage(ledger, part), parts))
    bad = [failure for failures, _ in results for failure in failures]
    answers = sum(answers for _, answers in results)
    check(not bad, f"{count} ledgers with random bytes: {answers} gave an answer, {len(bad)} went wrong")
    for failure in bad[:5]:
        note(f"seed {failure[0]}: status {failure[1]} {failure[2]}")


def processes(service):
    target = work / "process.heaptide"
    absent = int(Path("/proc/sys/kernel/pid_max").read_text()) - 1
    refuses("a process that does not exist", HEAPTIDE, "snapshot", absent, "--output", target)
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # nobody has collected it
    for command in (("snapshot", dead.pid, "--output", target), ("attach", dead.pid)):
        refuses("a process that has ended", HEAPTIDE, *command, saying="has ended")
    dead.wait()
    if as_nobody():
        open_folder = work / "nobody"
        open_folder.mkdir(mode=0o777)
        open_folder.chmod(0o777)
        work.chmod(0o755)
        there = open_folder / "x.heaptide"
        refuses("another user's process", HEAPTIDE, "snapshot", service.pid, "--output", there, **as_nobody())
        check(not list(open_folder.iterdir()), "another user's process: nothing is left behind")
    else:
        refuses("another user's process", HEAPTIDE, "snapshot", 1, "--output", target)
    check(not target.exists(), "no process, no snapshot")


def places(service, snapshot):
    readonly = work / "read-only"
    readonly.mkdir(mode=0o555)
    work.chmod(0o755)
    me = as_nobody()
    if me:
        # Whose process it is does not matter here: the folder is tried first, or the process of its own is readable.
        own = start(BUILD / "healthy-service", env=dict(with_probe(work / "nobody"), HOME="/"), **me)
    else:
        own = service
    refuses("read-only folder", HEAPTIDE, "snapshot", own.pid, "--output", readonly / "x.heaptide", **me)
    refuses("read-only folder for run", HEAPTIDE, "run", "--output", readonly, "--", "/bin/true", **me)
    refuses("folder that does not exist", HEAPTIDE, "snapshot", service.pid, "--output", work / "absent/x.heaptide")

    full = work / "full"
    full.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=256k", "heaptide-test", full).returncode != 0:
        note("skipped: a full disk (this user cannot mount one)")
        return
    try:
        (full / "other").write_bytes(bytes(200_000))
        refuses("full disk", HEAPTIDE, "snapshot", service.pid, "--output", full / "x.heaptide")
        left = sorted(path.name for path in full.iterdir())
        check(left == ["other"], f"full disk: left there {', '.join(left)}")
        check(service.poll() is None, "full disk: the service runs on")

        result = run("sqlite3", ":memory:", "SELECT 'unharmed'", env=with_probe(full / "ledgers", 1))
        lines = result.stderr.strip().split("\n")
        check(
            (result.returncode, result.stdout) == (0, "unharmed\n") and len(lines) == 1 and "heaptide" in lines[0],
            f"full disk for the ledger: the program runs, the probe says {result.stderr.strip()!r}",
        )
    finally:
        run("umount", full)


def wrong_use():
    for arguments in ([], ["analyze"], ["run"], ["snapshot", "0", "--output", "x"], ["no-such-command"], ["analyze", "x", "--format", "odd"]):
        result = run(HEAPTIDE, *arguments)
        expected = (0, 2) if not arguments else (2,)
        check(result.returncode in expected, f"heaptide {' '.join(arguments)}: wrong use, status {result.returncode}")


count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
log = work / "service.log"
service = start(BUILD / "activity-service-cxx", "--rate", "20MiB", log=log, env=with_probe(work / "ledgers"))
wait_for(lambda: Truth(log).seconds >= 3, 20)
snapshot = work / "good.heaptide"
taken = run(HEAPTIDE, "snapshot", service.pid, "--output", snapshot)
if check(taken.returncode == 0 and is_tracker(first_suspect(analyze(snapshot))), f"a good snapshot {taken.stderr.strip()}"):
    files(snapshot)
processes(service)
places(service, snapshot)
stop(service, signal.SIGKILL)
damaged_ledgers(ledgers(work / "ledgers")[0], count)
wrong_use()
finish()
