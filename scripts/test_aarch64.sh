#!/usr/bin/env bash
# Builds and runs the tests of projection-kernel, projection-core and projection-store for aarch64, the
# conformance tests among them, so that the NEON kernels are tested on an x86-64 machine. A warning in
# the code for aarch64 is an error.
#
# Debian packages: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross. rustup installs the standard
# library for the target. If it cannot, or with AARCH64_TOOLS=debian, the script builds the library from
# its source with Debian's compiler, see debian_rust.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian_rust.sh
cargo=("${CARGO:-cargo}")
further=()
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
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add $target; }
if [ "${AARCH64_TOOLS:-}" = debian ] || ! has_target; then
    use_debian_rust
    export RUSTC_BOOTSTRAP=1
    further=(-Z build-std=std,test --target-dir target/aarch64-debian)
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-D warnings"
# For dependencies written in C.
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar

"${cargo[@]}" test --release --target $target "${further[@]}" \
    --package projection-kernel --package projection-core --package projection-store --lib --tests
