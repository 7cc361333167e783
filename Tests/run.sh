#!/bin/bash
# Everything that is checked: format, build without warnings, tests of the modules, end-to-end checks, in about 20 minutes
# from a clean clone on two cores. Ends with the number of tests that passed and failed.
#
#   Tests/run.sh            the end-to-end checks in their short form
#   Tests/run.sh --full     as long as it takes to be sure, and what watching costs (two hours more)
set -uo pipefail
cd "$(dirname "$0")/.."
export CI=1 # Package.swift: a warning is an error

packages=--tests
[[ ${1:-} == --full ]] && packages=--benchmarks
samples/install-packages.sh "$packages" || exit

# Debian's libc++ and libunwind exclude each other, as installed packages.
libcxx=.build/libcxx
if [[ ! -d $libcxx ]]; then
    rm -rf "$libcxx.new" && mkdir -p "$libcxx.new"
    (cd "$libcxx.new" && apt-get download libc++-14-dev libc++abi-14-dev 2>/dev/null \
        && for package in *.deb; do dpkg -x "$package" . || exit; done) \
        && mv "$libcxx.new" "$libcxx" || echo "no libc++ to be had here: its collections are not tested"
fi

swift format lint --strict --recursive Sources Tests samples Package.swift || exit

# One build for all, the release: the tests run on what is shipped, and the large dependencies are compiled once.
# Without a run path: the probe must not look for libraries in its own folder.
swift build -c release --disable-local-rpath --build-tests --explicit-target-dependency-import-check error || exit

passed=0 failed=0
log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT

# Runs a command and adds up what it counted: the checks end in `12 passed, 1 failed`, swift-testing in
# `Test run with 12 tests in 3 suites failed after 1.2 seconds with 4 issues.`
count() {
    local status ok bad
    printf '\n== %s\n' "$*"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    if ! read -r ok bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log"); then
        bad=$(grep -cE '^. Test [^ ]+\(.* failed after' "$log")
        ok=$(sed -nE 's/^. Test run with ([0-9]+) tests?.*/\1/p' "$log")
        ok=$((ok - bad))
    fi
    # Whoever crashes has not counted to the end.
    ((status == 0 || bad > 0)) || bad=1
    ((bad == 0)) || { echo "$*" && grep -E -A3 '^FAILED|^. Test .* (recorded an issue|failed after)|Fatal error' "$log"; } >>"$failures"
    passed=$((passed + ok)) failed=$((failed + bad))
}

count swift test -c release --skip-build
count Tests/EndToEnd/checks/probe-hygiene.py
if [[ ${1:-} == --full ]]; then
    count Tests/EndToEnd/checks/one-snapshot.py 5
    count Tests/EndToEnd/checks/programs.py 3
    count Tests/EndToEnd/checks/python-suite.py --full
    count Tests/EndToEnd/checks/soak.py 600
    count Tests/EndToEnd/checks/known-graphs.py
    count Tests/EndToEnd/checks/host-graphs.py
    count Tests/EndToEnd/checks/other-glibc.py
    count Tests/EndToEnd/checks/counted-collections.py 600
    count Tests/EndToEnd/checks/killed.py 10 50
    count Tests/EndToEnd/checks/attach.py 100 100
    count Tests/EndToEnd/checks/capture.py 5
    count Tests/EndToEnd/checks/bad-input.py 10000
    count Tests/Benchmarks/agent.py
    count Tests/Benchmarks/peers.py
    count Tests/EndToEnd/checks/quickstart.py --rates
else
    count Tests/EndToEnd/checks/one-snapshot.py
    count Tests/EndToEnd/checks/programs.py
    count Tests/EndToEnd/checks/python-suite.py
    count Tests/EndToEnd/checks/soak.py
    count Tests/EndToEnd/checks/known-graphs.py
    count Tests/EndToEnd/checks/host-graphs.py
    count Tests/EndToEnd/checks/other-glibc.py
    count Tests/EndToEnd/checks/counted-collections.py
    count Tests/EndToEnd/checks/killed.py 1 5
    count Tests/EndToEnd/checks/attach.py
    count Tests/EndToEnd/checks/bad-input.py 200
    count Tests/EndToEnd/checks/quickstart.py
fi

# Once more what failed: the end of a long log is what people see of it.
cat "$failures"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
