#!/bin/sh
# Builds the shared library with the feature `inject-panics` into a folder of its own.
#
# usage: build_panicking.sh CARGO WORKSPACE OUTPUT_FOLDER
#
# Cargo builds it where the real library is built, because a second target folder would mean
# building all dependencies again. So the real one is built again at the end, whatever happens
# in between.
set -eu

cargo=$1
workspace=$2
output=$3
cd "$workspace"
real() {
    "$cargo" build --release --workspace --lib
}
mkdir -p "$output"
trap 'real >/dev/null 2>&1' EXIT
"$cargo" build --release --workspace --lib --features projection-ffi/inject-panics
for name in libprojection.so libprojection.dylib; do
    if [ -f "target/release/$name" ]; then
        cp "target/release/$name" "$output/$name"
    fi
done
# The name by which programs look for it at run time.
major=$(sed -n 's/^version = "\([0-9]*\).*/\1/p' Cargo.toml | head -n 1)
ln -sf libprojection.so "$output/libprojection.so.$major"
ln -sf libprojection.dylib "$output/libprojection.$major.dylib"
trap - EXIT
real
if grep -q PROJECTION_PANIC_IN target/release/libprojection.*; then
    echo "target/release holds a library that panics on demand" >&2
    exit 1
fi
