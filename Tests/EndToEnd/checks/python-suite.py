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


def suite(tests, environment):
    """Each test's own outcome, as unittest tells it; what the tests print themselves differs from run to run."""
    results = {}
    for test in tests:
        result = run(PYTHON, "-B", "-m", "test.regrtest", "-v", test, env=environment, cwd=work, timeout=900)
        for name, outcome in re.findall(r"^(test\w+ \([\w.]+\)).*?\.\.\. .*?\b(ok|FAIL|ERROR|skipped|expected failure)\b", result.stdout, re.M):
            results[f"{test}: {name}"] = outcome
        results[test] = result.returncode
    return results


def compare(tests):
    plain = suite(tests, dict(os.environ, PYTHONMALLOC="malloc"))
    probed = suite(tests, dict(with_probe(work / "ledgers"), PYTHONMALLOC="malloc"))
    for test in tests:
        names = [name for name in plain | probed if name.split(":")[0] == test]
        other = [name for name in names if plain.get(name) != probed.get(name)]
        check(len(names) > 1 and not other, f"{test}: {len(names) - 1} results with the probe as without it")
        for name in other[:5]:
            note(f"{name}: {plain.get(name)} without, {probed.get(name)} with")
    check(ledgers(work / "ledgers"), "the probe recorded it")


compare(TESTS + FULL if "--full" in sys.argv else TESTS)
finish()
