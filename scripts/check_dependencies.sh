#!/usr/bin/env bash
# Checks the Rust dependencies by the rules of deny.toml: licences, duplicate versions, sources,
# and known vulnerabilities if the advisory database can be reached. Installs cargo-deny below
# target/tools on the first run, which takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
version=0.20.2
tools=$PWD/target/tools

if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    # Without optimisation: compiling takes longer than all checks.
    "$CARGO" install --quiet --locked --debug --no-default-features cargo-deny@$version \
        --root "$tools" --target-dir "$tools/build"
    rm -rf "$tools/build"
fi

deny() { "$tools/bin/cargo-deny" --workspace --locked check --hide-inclusion-graph "$@"; }
deny licenses bans sources
if output=$(deny advisories 2>&1); then
    printf '%s\n' "$output"
elif grep -q 'failed to fetch advisory database' <<<"$output"; then
    echo "advisories NOT CHECKED, the database can't be reached:"
    grep -m 1 'failed to fetch advisory database' <<<"$output"
else
    printf '%s\n' "$output" >&2
    exit 1
fi
