#!/bin/bash
# A memory cgroup to run something in, of cgroup v1 or v2.
#
#   folder=$(samples/memory-cgroup.sh create NAME BYTES)    status 1 where this machine does not let one be made
#   samples/memory-cgroup.sh run "$folder" COMMAND …        becomes COMMAND
#   samples/memory-cgroup.sh usage "$folder"                bytes
#   samples/memory-cgroup.sh kills "$folder"                processes that the kernel killed for lack of memory
#   samples/memory-cgroup.sh remove "$folder"
set -euo pipefail

# Where a group may be made: beside our own (a user's session may do that on v2), or at the top.
parents() {
    local own top
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        own=$(sed -n 's/^0:://p' /proc/self/cgroup)
        top=/sys/fs/cgroup
    else
        own=$(sed -n 's/^[0-9]*:[^:]*\bmemory\b[^:]*://p' /proc/self/cgroup)
        top=/sys/fs/cgroup/memory
    fi
    [[ $own == / ]] || dirname "$top$own"
    echo "$top"
}

# Sets the limit of a new group, without swap where there is any.
limit() {
    local group=$1 bytes=$2
    if [[ -e $group/memory.limit_in_bytes ]]; then
        echo "$bytes" >"$group/memory.limit_in_bytes" || return
        echo "$bytes" >"$group/memory.memsw.limit_in_bytes" || true
    else
        echo "$bytes" >"$group/memory.max" || return
        echo 0 >"$group/memory.swap.max" || true
    fi
}

create() {
    local name=$1 bytes=$2 parent group
    for parent in $(parents); do
        group=$parent/$name
        # v2 hands the memory controller down only where it is asked to.
        [[ -e $parent/cgroup.subtree_control ]] && echo +memory >"$parent/cgroup.subtree_control" || true
        mkdir "$group" || continue
        if limit "$group" "$bytes" && (echo "$BASHPID" >"$group/cgroup.procs"); then
            echo "$group"
            return
        fi
        rmdir "$group" || true
    done
    return 1
}

first() {
    local file
    for file in "$@"; do
        [[ -e $file ]] && cat "$file" && return
    done
}

command=$1 folder=$2
case $command in
create) create "$2" "$3" 2>/dev/null ;;
run)
    echo $$ >"$folder/cgroup.procs"
    exec "${@:3}"
    ;;
usage) first "$folder"/memory.{usage_in_bytes,current} ;;
kills) first "$folder"/memory.{oom_control,events} | sed -n 's/^oom_kill //p' ;;
remove)
    # A process that has just ended may hold on to its group for a moment.
    for _ in {1..50}; do
        rmdir "$folder" 2>/dev/null && exit
        sleep 0.1
    done
    rmdir "$folder"
    ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
