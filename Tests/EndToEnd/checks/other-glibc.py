#!/usr/bin/env -S python3 -B
"""The walk through glibc's heap with other versions than this system's: Debian's packages of them are unpacked beside it,
and a program runs on them that holds blocks in four arenas and knows how many they are.

    Tests/EndToEnd/checks/other-glibc.py [SUITE…]       default bullseye (2.31), trixie (2.41) and forky (2.43)
"""

import lzma
import sys
import urllib.error
import urllib.request

from support import *

SUITES = sys.argv[1:] or ["bullseye", "trixie", "forky"]
SOURCE = Path(__file__).with_suffix(".c")


def mirror():
    """Where this system gets its packages from."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").stdout.split()
    return next((address.rstrip("/") for address in listed if address.rstrip("/").endswith("/debian")), None)


def fetched(address):
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        note(f"{error}: left out, it is not to be had here")
        return None


def unpacked(suite):
    """The suite's version of glibc, and the folder with it; None where there is no way to get it."""
    source = mirror()
    index = fetched(f"{source}/dists/{suite}/main/binary-amd64/Packages.xz") if source else None
    if not index:
        return None
    entry = re.search(r"^Package: libc6\n(?:.+\n)*", lzma.decompress(index).decode(), re.M)[0]
    package = work / f"{suite}.deb"
    content = fetched(f"{source}/{re.search('^Filename: (.*)', entry, re.M)[1]}")
    if not content:
        return None
    package.write_bytes(content)
    run("dpkg", "-x", package, work / suite)
    libraries = next((work / suite).rglob("libc.so.6")).parent
    return re.search("^Version: ([0-9.]+)", entry, re.M)[1], libraries


program = work / "other-glibc"
made = run("gcc", "-O1", "-g", "-fno-builtin", "-nostartfiles", SOURCE, "-o", program, "-Wl,--no-as-needed", "-l:libpthread.so.0")
if made.returncode != 0:
    sys.exit(made.stderr)
looked_at = 0
for suite in SUITES:
    there = unpacked(suite)
    if not there:
        continue
    looked_at += 1
    version, libraries = there
    loader = next(libraries.glob("ld-linux-x86-64.so.2"))
    truth, report = look_at(version, loader, "--library-path", libraries, program)
    if report:
        root = next((root for root in report["roots"] if root["name"] == "kept"), {})
        found = root.get("retainedCount"), root.get("retainedBytes")
        check(
            found == (truth["count"], truth["bytes"]),
            f"{version}: {found[0]} blocks of {found[1]} bytes, truth {truth['count']} of {truth['bytes']}")
        extra = report["heap"]["blockCount"] - truth["count"]
        check(0 <= extra <= 60 and not report["leaks"], f"{version}: {extra} blocks more, {report['leaks']}")
        doubts = [text for text in report["warnings"] or [] if "glibc" in text]
        check(not doubts, f"{version}: no doubts {doubts or ''}")
finish(measured=looked_at == 0)
