#!/usr/bin/env bash
# Builds the engine for WebAssembly into bindings/js/wasm: with and without SIMD, with and
# without the embedder; and prints the sizes.
#
# usage: scripts/build_wasm.sh [engine|embedder]...     (default: both)
#
# Needs the target wasm32-unknown-unknown of rustup. Where Rust has none, Debian's packages of
# a compiler and of the standard library's source take its place: they are unpacked below
# target/wasm-tools, nothing is installed, and WASM_TOOLS=debian asks for them anyway. wasm-opt
# comes from the PATH or from Debian's binaryen, likewise.
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
further=()
target_dir=target/wasm
installed=$(rustc --print sysroot)/lib/rustlib/$triple
if [ "${WASM_TOOLS:-}" = debian ] || [ ! -d "$installed" ]; then
    version=$(newest '^libstd-rust-web-1\.[0-9]+$')
    unpack rustc-web rust-web-src libstd-rust-web-dev "$version"
    rustc=$tools/debian/usr/bin/rustc
    # It asks for the libraries by their number.
    llvm=$(ls "$tools"/debian/usr/lib/x86_64-linux-gnu/librustc_driver* >/dev/null && \
        readelf -d "$tools"/debian/usr/lib/x86_64-linux-gnu/librustc_driver*.so |
        sed -n 's/.*\[libLLVM.so.\([0-9]*\).*/\1/p' | head -1)
    unpack "libllvm$llvm" "lld-$llvm"
    export RUSTC=$rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/debian/usr/bin/wasm-ld-$llvm
    if command -v rustup >/dev/null; then cargo=("$(rustup which cargo)"); fi
    further=(-Z build-std=std,panic_abort)
    target_dir=target/wasm-debian
fi
libraries=$tools/debian/usr/lib/x86_64-linux-gnu:$tools/debian/usr/lib
if command -v wasm-opt >/dev/null; then
    optimise=(wasm-opt)
else
    unpack binaryen
    optimise=(env "LD_LIBRARY_PATH=$libraries" "$tools/debian/usr/bin/wasm-opt")
fi

# One build: name of the file, flags for the instructions, features of the crate.
build() {
    local name=$1 flags=$2 features=$3
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$flags LD_LIBRARY_PATH=$libraries:${LD_LIBRARY_PATH:-} \
        "${cargo[@]}" build --quiet --profile wasm --target $triple --target-dir "$target_dir" \
        --package projection-wasm --no-default-features --features "$features" "${further[@]}"
    "${optimise[@]}" -O3 --strip-debug --strip-producers --enable-simd --enable-bulk-memory \
        --enable-sign-ext --enable-nontrapping-float-to-int --enable-mutable-globals \
        --enable-multivalue --enable-reference-types \
        "$target_dir/$triple/wasm/projection_wasm.wasm" -o "$out/$name.wasm"
    printf '%-36s %9d bytes %9d gzipped\n' "$out/$name.wasm" \
        "$(wc -c <"$out/$name.wasm")" "$(gzip -9 -c "$out/$name.wasm" | wc -c)"
}

mkdir -p $out
# The engine brings the random numbers of hash maps itself.
common='--cfg getrandom_backend="custom"'
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
