#!/bin/sh
# tests/all.sh
# Lint and every test, from the root of the repository. The machine that boots for the tests of systemd and
# AppArmor does so beside what computes. Tests that start services and look at the time come after it, alone.
set -eu

cargo=${CARGO:-cargo}

output=$(mktemp -d)
machine=
finish() {
    # Whatever the reason: nothing goes on behind this script.
    [ -z "$machine" ] || kill -s TERM -- "-$machine" 2>/dev/null || kill -s TERM "$machine" || true
    wait
    rm -rf "$output"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

sh tests/packages.sh >"$output/packages" 2>&1 &
packages=$!
"$cargo" test --locked --no-run --test debian
wait "$packages" || {
    cat "$output/packages"
    exit 1
}
cat "$output/packages"

setsid "$cargo" test --locked --test debian >"$output/debian" 2>&1 &
machine=$!
"${MAKE:-make}" --no-print-directory lint
"$cargo" test --locked --no-run

# All of them, so that one run tells all that is wrong.
failed=
beside='' alone=''
for path in tests/*.rs tests/*/main.rs; do
    name=${path#tests/}
    name=${name%/main.rs}
    name=${name%.rs}
    case $name in
    debian) ;;
    build | closure | docs | fuzz | walls) beside="$beside --test $name" ;;
    *) alone="$alone --test $name" ;;
    esac
done
# shellcheck disable=SC2086
"$cargo" test --locked --no-fail-fast --lib --bins $beside || failed=1
"$cargo" test --locked --doc || failed=1
if wait "$machine"; then
    tail -n 6 "$output/debian"
else
    cat "$output/debian"
    failed=1
fi
machine=
# shellcheck disable=SC2086
"$cargo" test --locked --no-fail-fast $alone || failed=1
[ -z "$failed" ] || {
    echo 'tests/all.sh: a test has failed: see above' >&2
    exit 1
}
