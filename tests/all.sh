#!/bin/sh
# tests/all.sh
# Lint and every test, from the root of the repository. What waits, for the network or for another machine to
# boot, goes on beside what computes.
set -eu

cargo=${CARGO:-cargo}

output=$(mktemp -d)
trap 'wait; rm -rf "$output"' EXIT
# What goes on beside this one is not interrupted by a terminal: it is in the same group.
trap 'trap - TERM; kill -TERM 0' HUP INT TERM

sh tests/packages.sh >"$output/packages" 2>&1 &
packages=$!
"${MAKE:-make}" --no-print-directory lint
"$cargo" test --locked --no-run
wait "$packages" || {
    cat "$output/packages"
    exit 1
}
cat "$output/packages"

"$cargo" test --locked --test debian >"$output/debian" 2>&1 &
debian=$!
others=
for path in tests/*.rs tests/*/main.rs; do
    name=${path#tests/}
    name=${name%/main.rs}
    name=${name%.rs}
    [ "$name" = debian ] || others="$others --test $name"
done
# All of them, so that one run tells all that is wrong.
failed=
"$cargo" test --locked --no-fail-fast --lib --bins $others || failed=1
"$cargo" test --locked --doc || failed=1
if wait "$debian"; then
    tail -n 6 "$output/debian"
else
    cat "$output/debian"
    failed=1
fi
[ -z "$failed" ] || {
    echo 'tests/all.sh: a test has failed: see above' >&2
    exit 1
}
