#!/usr/bin/env bash
# Checks that the workspace builds with the oldest Rust that it promises: the `rust-version` in
# Cargo.toml. Tests and benchmarks may need a newer one.
#
# If rustup cannot install that compiler, it checks what can be checked without it, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# The first release of 1.89 is 1.89.0.
case $msrv in *.*.*) toolchain=$msrv ;; *) toolchain=$msrv.0 ;; esac

if rustup run "$toolchain" rustc --version 2>/dev/null ||
    rustup toolchain install "$toolchain" --profile minimal --no-self-update; then
    # Without optimisation, which the C compiler for SQLite would apply even here.
    exec rustup run "$toolchain" cargo check --locked --workspace --lib --bins --target-dir target/msrv
fi

echo "Rust $toolchain can't be installed: NOT CHECKED is whether it accepts the language used here."
echo "Clippy checks the standard library's items (incompatible_msrv, in \`make lint\`), and this"
echo "script the versions that dependencies declare."
"$CARGO" metadata --locked --format-version 1 | "${PYTHON:-python3}" -c '
import json, sys
number = lambda version: tuple(int(part) for part in version.split("."))
msrv = number(sys.argv[1])
newer = [
    "{name} {version} needs Rust {rust_version}".format(**package)
    for package in json.load(sys.stdin)["packages"]
    if package["rust_version"] and number(package["rust_version"])[:len(msrv)] > msrv
]
sys.exit("\n".join(newer) or None)
' "$msrv"
