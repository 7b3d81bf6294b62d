#!/usr/bin/env bash
# Builds the engine for WebAssembly into bindings/js/wasm, with and without SIMD, with and without
# the embedder, and prints the sizes.
#
# usage: scripts/build_wasm.sh [engine|embedder]...     (default: both)
#
# There are three ways to build it. WASM_TOOLS=source, target or debian selects one; otherwise the
# script takes the first that works. All need cargo and the crates in Cargo.lock.
#
# source   Needs rustup's component rust-src (rustup component add rust-src). Builds the standard
#          library too, for size and without panic messages, which makes the engine a third smaller.
#          Cargo fetches the dependencies of the standard library, and the stable compiler is made to
#          accept unstable flags (RUSTC_BOOTSTRAP).
# target   Needs only rustup's target (rustup target add wasm32-unknown-unknown).
# debian   Unpacks a compiler, the standard library's source and a linker from Debian's packages, see
#          debian_rust.sh. Then builds as in `source`.
#
# wasm-opt comes from the PATH or from Debian's package binaryen, which is unpacked in the same way.
#
# The script fails if a file exceeds its size limit.
set -euo pipefail
cd "$(dirname "$0")/.."
out=bindings/js/wasm
triple=wasm32-unknown-unknown

. scripts/debian_rust.sh
cargo=(cargo)
sysroot=$(rustc --print sysroot)
if [ -n "${WASM_TOOLS:-}" ]; then
    by=$WASM_TOOLS
elif [ -d "$sysroot/lib/rustlib/src/rust/library/std" ]; then
    by=source
elif [ -d "$sysroot/lib/rustlib/$triple" ]; then
    by=target
else
    by=debian
fi
# The largest size of each build, gzipped.
case $by in
target) engine_limit=220000 embedder_limit=950000 ;;
*) engine_limit=180000 embedder_limit=790000 ;;
esac
# A panic only stops the engine; nobody would read its message.
further=()
# The engine seeds hash maps itself. Functions are rarely inlined, which saves a third of the size;
# the loops that take the time ask for it.
common='--cfg getrandom_backend="custom" -Cllvm-args=--inline-threshold=15'
if [ "$by" != target ]; then
    export RUSTC_BOOTSTRAP=1
    further=(-Z build-std=std,panic_abort -Z build-std-features=optimize_for_size)
    common="$common -Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zinline-mir=no"
fi
if [ "$by" = debian ]; then
    use_debian_rust
    unpack "lld-$llvm"
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$debian_rust/usr/bin/wasm-ld-$llvm
fi
if command -v wasm-opt >/dev/null; then
    optimise=(wasm-opt)
else
    unpack binaryen
    optimise=(env "LD_LIBRARY_PATH=$(debian_libraries)" "$debian_rust/usr/bin/wasm-opt")
fi

# Builds one file. Arguments: its name, compiler flags, features of the crate, size limit.
build() {
    local name=$1 flags=$2 features=$3 limit=$4 zipped
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$flags \
        "${cargo[@]}" build --quiet --profile wasm --target $triple --target-dir "target/wasm-$by" \
        --package projection-wasm --no-default-features --features "$features" "${further[@]}"
    local built=target/wasm-$by/$triple/wasm/projection_wasm.wasm kept=target/wasm-$by/$name
    # Optimise only what changed: several tests build the same files.
    if ! cmp -s "$built" "$kept.built"; then
        "${optimise[@]}" -Oz --strip-debug --strip-producers --strip-target-features \
            --enable-simd --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int \
            --enable-mutable-globals --enable-multivalue --enable-reference-types \
            "$built" -o "$kept.wasm"
        cp "$built" "$kept.built"
    fi
    cp "$kept.wasm" "$out/$name.wasm"
    zipped=$(gzip -9 -c "$out/$name.wasm" | wc -c)
    printf '%-46s %9d bytes %9d gzipped\n' "$out/$name.wasm" "$(wc -c <"$out/$name.wasm")" "$zipped"
    if [ "$zipped" -gt "$limit" ]; then
        echo "$name.wasm: $zipped bytes gzipped, expected at most $limit: see what grew" >&2
        exit 1
    fi
}

mkdir -p $out
simd="$common -Ctarget-feature=+simd128"
for what in "${@:-engine embedder}"; do
    for what in $what; do
        case $what in
        engine)
            build projection "$simd" "" $engine_limit
            build projection-scalar "$common" "" $engine_limit
            ;;
        embedder)
            build projection-embedder "$simd" embed $embedder_limit
            build projection-embedder-scalar "$common" embed $embedder_limit
            ;;
        *) echo "unknown part '$what', expected engine or embedder" >&2; exit 1 ;;
        esac
    done
done
