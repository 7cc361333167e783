#!/bin/bash
# Installs the Debian packages that the build needs, and with --tests also those of the tests. Only what is missing:
# where nothing is, neither root nor the network is needed.
set -euo pipefail

build=(libunwind-dev libelf-dev libdw-dev libsqlite3-dev zlib1g-dev)
tests=(binutils g++ libjemalloc2 musl-tools nginx-light python3 redis-server redis-tools sqlite3)

wanted=("${build[@]}")
[[ ${1:-} == --tests ]] && wanted+=("${tests[@]}")

if ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian system: please install what these packages hold: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
((EUID == 0)) || as_root=(sudo)

# Debian starts a server as soon as it is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends)
echo "Installing ${missing[*]}"
# Package lists may be absent (container images) or out of date.
"${install[@]}" "${missing[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update && "${install[@]}" "${missing[@]}"; }
