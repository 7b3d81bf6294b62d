#!/usr/bin/env bash
# Runs the tests of projection-kernel, projection-core and projection-store under AddressSanitizer: the
# kernels for every instruction set of this processor, rows in memory and in mapped files, and damaged
# files.
#
# Rust's stable compiler has the sanitizer and its runtime but hides the flag, so RUSTC_BOOTSTRAP
# makes it accept the flags of the nightly compiler. The standard library is not instrumented. Its
# memory is watched all the same, because the sanitizer replaces the allocator. Optimisation is low
# to keep the build short, and because a read that the compiler removes cannot be detected.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
    *)
        echo "no AddressSanitizer for $host: skipped" >&2
        [ "${CI:-}" != true ] || exit 1
        exit 0
        ;;
esac

export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/asan
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=line-tables-only

# The sanitizer must detect a read past the end of memory, or the tests below prove nothing.
mkdir -p target/asan
cat > target/asan/wrong.rs <<'RUST'
fn main() {
    let values = vec![1.0f32; std::env::args().count() * 8];
    println!("{}", unsafe { values.as_ptr().add(values.len()).read() });
}
RUST
rustc $RUSTFLAGS --target "$host" -O target/asan/wrong.rs -o target/asan/wrong
if found=$(target/asan/wrong 2>&1) || ! grep -q heap-buffer-overflow <<<"$found"; then
    echo "AddressSanitizer did not detect a read past the end of memory: $found" >&2
    exit 1
fi

"$CARGO" test --release --target "$host" \
    --package projection-kernel --package projection-core --package projection-store --lib --tests
