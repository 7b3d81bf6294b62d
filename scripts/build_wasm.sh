#!/usr/bin/env bash
# Builds the engine for WebAssembly into bindings/js/wasm: with and without SIMD, with and
# without the embedder; and prints the sizes.
#
# usage: scripts/build_wasm.sh [engine|embedder]...     (default: both)
#
# Needs rustup's target wasm32-unknown-unknown. Where there is none, rustup's component rust-src
# does, and where there is neither, Debian's packages of a compiler and of the standard
# library's source: they are unpacked below target/wasm-tools, nothing is installed. With the
# library's source it is built along, for size, which takes longer and makes the engine a fifth
# smaller. WASM_TOOLS=target, source or debian asks for one of them. wasm-opt comes from the PATH
# or from Debian's binaryen, likewise.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/wasm-tools
out=bindings/js/wasm
triple=wasm32-unknown-unknown

# Unpacks Debian packages, once.
unpack() {
    local stamp=$tools/$1.done
    [ -e "$stamp" ] && return
    echo "unpacking Debian's $* below target/wasm-tools"
    mkdir -p "$tools/packages"
    (cd "$tools/packages" && apt-get download -qq "$@") ||
        { echo "missing: $*; apt-get update, or install wasm-opt and rustup's $triple" >&2; exit 1; }
    for package in "$tools"/packages/*.deb; do dpkg -x "$package" "$tools/debian"; done
    rm -r "$tools/packages"
    touch "$stamp"
}

# Whatever Debian calls its newest packages.
newest() {
    apt-cache search --names-only "$1" | cut -d' ' -f1 | sort -V | tail -1
}

cargo=(cargo)
sysroot=$(rustc --print sysroot)
if [ -n "${WASM_TOOLS:-}" ]; then
    by=$WASM_TOOLS
elif [ -d "$sysroot/lib/rustlib/$triple" ]; then
    by=target
elif [ -d "$sysroot/lib/rustlib/src/rust/library/std" ]; then
    by=source
else
    by=debian
fi
# A panic only stops the engine, whoever builds it: its message would be read by nobody.
further=()
common='--cfg getrandom_backend="custom"' # the engine seeds hash maps itself
if [ "$by" != target ]; then
    export RUSTC_BOOTSTRAP=1
    further=(-Z build-std=std,panic_abort -Z build-std-features=optimize_for_size)
    common="$common -Zunstable-options -Cpanic=immediate-abort"
fi
if [ "$by" = debian ]; then
    version=$(newest '^libstd-rust-web-1\.[0-9]+$')
    unpack rustc-web rust-web-src libstd-rust-web-dev "$version"
    rustc=$tools/debian/usr/bin/rustc
    # It asks for the libraries by their number.
    llvm=$(readelf -d "$tools"/debian/usr/lib/*-linux-gnu/librustc_driver-*.so |
        sed -n 's/.*\[libLLVM\.so\.\([0-9]*\).*/\1/p' | head -1)
    unpack "libllvm$llvm" "lld-$llvm"
    export RUSTC=$rustc
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/debian/usr/bin/wasm-ld-$llvm
    libraries=$(echo "$tools"/debian/usr/lib/*-linux-gnu):$tools/debian/usr/lib
    cargo=(env "LD_LIBRARY_PATH=$libraries" cargo)
    if command -v rustup >/dev/null; then cargo=(env "LD_LIBRARY_PATH=$libraries" "$(rustup which cargo)"); fi
fi
if command -v wasm-opt >/dev/null; then
    optimise=(wasm-opt)
else
    unpack binaryen
    libraries=$(echo "$tools"/debian/usr/lib/*-linux-gnu):$tools/debian/usr/lib
    optimise=(env "LD_LIBRARY_PATH=$libraries" "$tools/debian/usr/bin/wasm-opt")
fi

# One build: name of the file, flags for the instructions, features of the crate.
build() {
    local name=$1 flags=$2 features=$3
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$flags \
        "${cargo[@]}" build --quiet --profile wasm --target $triple --target-dir "target/wasm-$by" \
        --package projection-wasm --no-default-features --features "$features" "${further[@]}"
    "${optimise[@]}" -O3 --strip-debug --strip-producers --enable-simd --enable-bulk-memory \
        --enable-sign-ext --enable-nontrapping-float-to-int --enable-mutable-globals \
        --enable-multivalue --enable-reference-types \
        "target/wasm-$by/$triple/wasm/projection_wasm.wasm" -o "$out/$name.wasm"
    printf '%-36s %9d bytes %9d gzipped\n' "$out/$name.wasm" \
        "$(wc -c <"$out/$name.wasm")" "$(gzip -9 -c "$out/$name.wasm" | wc -c)"
}

mkdir -p $out
simd="$common -Ctarget-feature=+simd128"
for what in "${@:-engine embedder}"; do
    for what in $what; do
        case $what in
        engine)
            build projection "$simd" ""
            build projection-scalar "$common" ""
            ;;
        embedder)
            build projection-embedder "$simd" embed
            build projection-embedder-scalar "$common" embed
            ;;
        *) echo "unknown part '$what', expected engine or embedder" >&2; exit 1 ;;
        esac
    done
done
