#!/usr/bin/env -S python3 -B
"""Eight threads that allocate in every way there is, with signals at 1 kHz, exceptions, short threads, forks, and libraries
that come and go: with the probe they compute what they compute without it, and the ledger is whole afterwards. The same
for a short while under valgrind. A program built with AddressSanitizer or ThreadSanitizer is left alone by `heaptide run`: the one ends
where another library comes before it, the other does not survive libunwind's own end of a thread.

    Tests/EndToEnd/checks/soak.py [SECONDS]     default 10
"""

import sys

from support import *

HERE = Path(__file__).resolve().parent
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 10
KEPT = 8 * 64 * 1_234_567  # bytes that the threads keep at their end

LIBRARY = """
#include <cstdint>
#include <string>
#include <vector>
extern "C" std::uint64_t work(std::uint64_t n) {
    std::vector<std::string> texts;
    for (std::uint64_t i = 0; i < n; i++) texts.push_back(std::string(20 + i, 'l'));
    std::uint64_t sum = 0;
    for (auto &text : texts) sum += text.size();
    return sum;
}
"""


#: The loader's own strncmp reads whole words of a run path, which valgrind holds against every dlopen of such a library.
SUPPRESSED = "{\n run-path\n Memcheck:Addr8\n fun:strncmp\n fun:is_dst\n}\n"


def build(name, *flags):
    program = work / f"soak-{name}"
    run("g++", "-std=c++17", "-O1", "-g", "-pthread", *flags, "-o", program, HERE / "soak.cpp", timeout=300, check=True)
    return program


def build_library():
    (work / "library.cpp").write_text(LIBRARY)
    run("g++", "-O1", "-shared", "-fPIC", "-o", work / "liblibrary.so", work / "library.cpp", check=True)


def line(result, word):
    """The rest of the line of output that begins with `word`."""
    return next((text.split()[1:] for text in result.stdout.split("\n") if text.startswith(word + " ")), [])


def tell(result):
    note(f"status {result.returncode}: {result.stdout[-300:]} {result.stderr[-600:]}")


def soak(seconds, interval):
    """With the probe for as long as asked; then as many rounds without it, which must give the same sums."""
    program, folder = build("plain"), work / f"ledgers-{interval}"
    arguments = [program, work / "liblibrary.so"]
    probed = run(*arguments, seconds, env=with_probe(folder, interval), timeout=seconds * 4 + 120)
    rounds = line(probed, "rounds")
    name = f"{seconds:g} s, interval {interval}"
    if not check(probed.returncode == 0 and not probed.stderr, f"soak {name}: ends clean after {sum(map(int, rounds)):,} rounds"):
        return tell(probed)
    plain = run(*arguments, 0, *rounds, timeout=seconds * 4 + 120)
    same = line(plain, "sums") == line(probed, "sums")
    check(same and plain.returncode == 0, f"soak {name}: the same sums without the probe")
    whole(folder, name)


def whole(folder, name):
    """The oldest ledger is the program's own; its forked children left others."""
    found = [path for path in ledgers(folder) if (report := analyze(path)) and report["process"]["hasExited"]]
    if not check(found, f"soak {name}: a readable ledger of a process that ended by its own will"):
        return
    report = analyze(found[0])
    sampling = report["sampling"]
    live, error = sampling["liveBytes"], sampling["liveBytesError"]
    check(
        0 < error and abs(live - KEPT) < 4 * error,
        f"soak {name}: {live / MIB:.1f} MiB live (± {error / MIB:.1f}) of {KEPT / MIB:.1f}",
    )


def under_valgrind(program, rounds):
    """Its malloc comes before the probe's, as any allocator that is preloaded earlier."""
    arguments = [program, work / "liblibrary.so", 0, rounds]
    plain = run(*arguments)
    (work / "suppressions").write_text(SUPPRESSED)
    watch = ["valgrind", "--error-exitcode=9", "--quiet", "--vgdb=no", f"--suppressions={work}/suppressions"]
    probed = run(*watch, *arguments, env=with_probe(work / "ledgers-valgrind", 4096), timeout=600)
    good = probed.returncode == 0 and line(plain, "sums") == line(probed, "sums")
    if not check(good, "valgrind: no error, and the same sums"):
        tell(probed)


build_library()
soak(SECONDS, "64KiB")
soak(min(SECONDS, 60) / 2, 4096)
under_valgrind(work / "soak-plain", rounds=4)
for sanitizer in ("address", "thread"):
    program = build(sanitizer, f"-fsanitize={sanitizer}")
    arguments = [program, work / "liblibrary.so", 0, 4]
    # ThreadSanitizer takes the loader for a racy program now and then: what it finds is not the question.
    environment = dict(os.environ, TSAN_OPTIONS="report_bugs=0")
    plain = run(*arguments, env=environment, timeout=300)
    watched = run(HEAPTIDE, "run", "--output", work / sanitizer, "--", *arguments, env=environment, timeout=300)
    same = plain.returncode == watched.returncode and line(plain, "sums") == line(watched, "sums")
    check(same, f"{sanitizer} sanitizer: under `heaptide run` as without it (status {watched.returncode})")
    check("Sanitizer: memory is watched, allocations are not" in watched.stderr, f"{sanitizer} sanitizer: refused, with the reason")
finish()
