#!/usr/bin/env bash
# Builds and runs for aarch64 the unit tests of projection-kernel and projection-core and the
# conformance tests, so that the NEON kernels are tested on an x86-64 machine. A warning in the code
# for aarch64 is an error.
#
# Debian packages: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross. The standard library for
# the target comes from rustup.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
target=aarch64-unknown-linux-gnu

missing() {
    echo "missing: $1" >&2
    exit 1
}
case $(uname -m) in
    aarch64 | arm64)
        echo "this machine is aarch64: \`make test\` covers it"
        exit 0
        ;;
esac
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v $tool >/dev/null ||
        missing "$tool. Install it (Debian: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)."
done
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add $target ||
    missing "Rust's standard library for $target. Run: rustup target add $target"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-D warnings"
# For dependencies written in C.
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar

test() { "$CARGO" test --release --target $target "$@"; }
test --package projection-kernel --package projection-core --lib --tests
test --package projection-engine --test 'conformance*'
