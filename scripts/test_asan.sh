#!/usr/bin/env bash
# The tests of all that is unsafe, under AddressSanitizer: the kernels in every compilation that
# this processor can run, rows in memory and in mapped files, and what is read of model files.
#
# Rust's stable compiler has the sanitizer and its runtime but no flag for it, so it is told to
# take the flags of the nightly one. The standard library is not instrumented; its memory is
# watched all the same, since the sanitizer replaces the allocator. Little is optimised, for the
# build's sake: what the compiler leaves out cannot be watched.
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

# A read behind the end of memory must be seen, or nothing below means anything.
mkdir -p target/asan
cat > target/asan/wrong.rs <<'RUST'
fn main() {
    let values = vec![1.0f32; std::env::args().count() * 8];
    println!("{}", unsafe { values.as_ptr().add(values.len()).read() });
}
RUST
rustc $RUSTFLAGS --target "$host" -O target/asan/wrong.rs -o target/asan/wrong
if found=$(target/asan/wrong 2>&1) || ! grep -q heap-buffer-overflow <<<"$found"; then
    echo "AddressSanitizer did not see a read behind the end of memory: $found" >&2
    exit 1
fi

# Tests of the library, of which the kernels are a part, then those of whole files.
"$CARGO" test --release --target "$host" --package projection-core --lib \
    --test model_files --test compact_files --test allocations
