#!/usr/bin/env -S python3 -B
"""Part of python3's own regression suite, with each object from malloc: each test has the same result with the probe as
without it.

    Tests/EndToEnd/checks/python-suite.py [--full]
"""

import sys

from support import *

PYTHON = "/usr/bin/python3"
TESTS = ["test_dict", "test_fork1", "test_json", "test_list", "test_re", "test_threading"]
FULL = [
    "test_array", "test_asyncio.test_events", "test_bytes", "test_collections", "test_concurrent_futures", "test_ctypes",
    "test_faulthandler", "test_gc", "test_mmap", "test_os", "test_posix", "test_signal", "test_sqlite3", "test_subprocess",
    "test_thread", "test_weakref", "test_zlib",
]


OUTCOME = re.compile(r"^(test\w+ \([\w.]+\)).*?\.\.\. .*?\b(ok|FAIL|ERROR|skipped|expected failure)\b", re.M)


def outcomes(test, environment):
    """What unittest says of each case; what the cases print themselves differs from run to run."""
    environment = dict(environment, PYTHONMALLOC="malloc")
    result = run(PYTHON, "-B", "-m", "test.regrtest", "-v", test, env=environment, cwd=work, timeout=900)
    return dict(OUTCOME.findall(result.stdout)), result.returncode


def compare(test):
    plain, status = outcomes(test, os.environ)
    probed, status_probed = outcomes(test, with_probe(work / "ledgers"))
    other = [name for name in plain | probed if plain.get(name) != probed.get(name)]
    same = plain and not other and status == status_probed
    check(same, f"{test}: {len(plain)} results with the probe as without it, status {status_probed}")
    for name in other[:5]:
        note(f"{name}: {plain.get(name)} without, {probed.get(name)} with")


for test in TESTS + FULL if "--full" in sys.argv else TESTS:
    compare(test)
check(ledgers(work / "ledgers"), "the probe recorded it")
finish()
