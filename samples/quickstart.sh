#!/bin/bash
# From a clean clone to a ranked leak: builds Heaptide, runs a leaking service in 256 MiB of memory under it, waits for
# the snapshot that it takes before the service would be killed, and prints what the snapshot tells.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
readonly root samples=$root/samples products=$root/.build/release
readonly heaptide=$products/heaptide

usage() {
    cat <<'END'
samples/quickstart.sh [--swift | --cxx] [--no-cgroup]

  --swift      watch the Swift service (default)
  --cxx        watch its twin in C++
  --no-cgroup  tell the agent the limit instead of setting one

The snapshot and the logs stay in a new folder below /tmp, or below TMPDIR.
END
}

readonly limit=$((256 << 20)) rate=4MiB patience=170
service=activity-service wants_cgroup=yes
while (($#)); do
    case $1 in
    --swift) service=activity-service ;;
    --cxx) service=activity-service-cxx ;;
    --no-cgroup) wants_cgroup= ;;
    --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

group= agent= counted=0
cleanup() {
    if [[ -n $agent ]]; then
        kill -TERM "$agent" 2>/dev/null || true
        wait "$agent" || true
    fi
    [[ -z $group ]] || "$samples/memory-cgroup.sh" remove "$group"
    agent= group=
}
trap cleanup EXIT
trap 'exit 130' INT TERM

build() {
    "$samples/install-packages.sh"
    echo "Building (the first time takes some minutes) …"
    swift build --package-path "$root" -c release --disable-local-rpath
}

start() {
    output=$(mktemp -d "${TMPDIR:-/tmp}/heaptide-quickstart.XXXXXX")
    local run=("$heaptide" run --output "$output")
    if [[ -n $wants_cgroup ]] && group=$("$samples/memory-cgroup.sh" create "heaptide-quickstart-$$" $limit); then
        echo "The service gets a cgroup with 256 MiB: $group"
        run=("$samples/memory-cgroup.sh" run "$group" "${run[@]}")
    else
        echo "No cgroup of our own: the agent is told that 256 MiB are the limit."
        run+=(--memory-limit 256MiB)
    fi
    local command=("${run[@]}" -- "$products/$service" --rate $rate)
    printf '$ %s\n' "${command[*]}"
    "${command[@]}" >"$output/service.log" 2>"$output/heaptide.log" &
    agent=$!
}

# Bytes in use of the limit.
used() {
    if [[ -n $group ]]; then
        "$samples/memory-cgroup.sh" usage "$group"
    else
        local child
        read -r child _ <"/proc/$agent/task/$agent/children" || true
        awk '/^RssAnon:/ { print $2 * 1024 }' "/proc/${child:-$agent}/status"
    fi
}

progress() {
    local percent=$(($1 * 100 / limit)) bar
    printf -v bar '%*s' $((percent * 40 / 100)) ''
    printf '%4d s  %4d of 256 MiB  %3d%%  %s\n' "$SECONDS" $(($1 >> 20)) "$percent" "${bar// /#}"
}

# The snapshot that was taken because the limit came near.
snapshot() { compgen -G "$output/*-limit.heaptide"; }

await_snapshot() {
    SECONDS=0
    until snapshot >/dev/null; do
        if ! kill -0 "$agent" 2>/dev/null || ((SECONDS > patience)); then
            echo "No snapshot came. Heaptide's messages:" >&2
            cat "$output/heaptide.log" >&2
            exit 1
        fi
        ((SECONDS % 3)) || progress "$(used || echo 0)"
        sleep 1
    done
    progress "$(used || echo 0)"
    counted=$(wc -l <"$output/service.log")
}

report() {
    local file
    file=$(snapshot | head -n 1)
    echo
    cat "$output/heaptide.log"
    printf '\n$ %s\n\n' "$heaptide analyze $file"
    "$heaptide" analyze "$file"
    # The last half of the time, when all neighbours had settled; not the service's end, when it serves no more.
    awk -F '[= ]' -v last="$counted" 'NR <= last { time[NR] = $2; bytes[NR] = $6 } END {
        half = int((last + 1) / 2)
        printf "\nThe truth, by the count of the service itself: its tracker grew by %.2f MiB/s.\n",
            (bytes[last] - bytes[half]) / (time[last] - time[half]) / 1048576
    }' "$output/service.log"
}

build
start
await_snapshot
cleanup
report
