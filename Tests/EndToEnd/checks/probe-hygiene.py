#!/usr/bin/env -S python3 -B
"""What the probe drags into a process: libc and the loader, nothing else. What it exports: the allocator's functions.
And that malloc and free share one cache line.

    Tests/EndToEnd/checks/probe-hygiene.py
"""

from support import *

ALLOWED_LIBRARIES = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
C_FAMILY = {
    "malloc", "calloc", "realloc", "reallocarray", "free", "free_sized", "free_aligned_sized", "posix_memalign",
    "aligned_alloc", "memalign", "valloc", "pvalloc",
}
# operator new, new[], delete, delete[] with any arguments.
CXX_FAMILY = re.compile(r"_Z(n[wa]m|d[la]Pv)")

dynamic = run("readelf", "--dynamic", "--wide", PROBE).stdout
needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
check(needed and needed <= ALLOWED_LIBRARIES, f"needs {', '.join(sorted(needed))}")
paths = set(re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.+)\]", dynamic))
check(not paths, f"looks for libraries in no folder of its own; run path: {', '.join(paths) or 'none'}")
check("(TEXTREL)" not in dynamic, "has no text relocations")

symbols = run("nm", "--dynamic", "--defined-only", "--print-size", PROBE).stdout
# Type A: names of symbol versions.
exported = {line.split()[-1].split("@")[0] for line in symbols.splitlines() if line and line.split()[-2] != "A"}
foreign = {name for name in exported if name not in C_FAMILY and not CXX_FAMILY.match(name)}
check(not foreign, f"exports the allocator family only; beyond it: {', '.join(sorted(foreign)) or 'nothing'}")
check(C_FAMILY <= exported, f"exports the whole family of C; missing: {', '.join(sorted(C_FAMILY - exported)) or 'nothing'}")

pair = re.findall(r"^(\w+) (\w+) T (?:malloc|free)$", symbols, re.MULTILINE)
ranges = [(int(start, 16), int(size, 16)) for start, size in pair]
lines = {address // 64 for start, size in ranges for address in (start, start + size - 1)}
check(len(lines) == 1, f"malloc and free share one cache line; lines: {len(lines)}")

undefined = run("nm", "--dynamic", "--undefined-only", PROBE).stdout
check(not re.search(r"\b(_Unwind_|swift_|_Z)", undefined), "calls neither an unwinder nor a language runtime directly")
finish()
