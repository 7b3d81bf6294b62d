# Sourced by scripts that cross-compile, for machines on which rustup cannot install a target: it
# provides Debian's newest Rust compiler and the standard library's source. Needs Debian 12 or later
# with apt-get, dpkg and readelf. Unpacks packages, 900 MB in all, below target/debian-rust; installs
# nothing.

debian_rust=$PWD/target/debian-rust

# Unpacks Debian packages, once.
unpack() {
    local stamp=$debian_rust/$1.done
    [ -e "$stamp" ] && return
    echo "unpacking Debian's $* below target/debian-rust"
    mkdir -p "$debian_rust/packages"
    (cd "$debian_rust/packages" && apt-get download -qq "$@") ||
        { echo "missing: $*; run apt-get update, or install it with rustup" >&2; exit 1; }
    for package in "$debian_rust"/packages/*.deb; do dpkg -x "$package" "$debian_rust"; done
    rm -r "$debian_rust/packages"
    touch "$stamp"
}

# The newest Debian package whose name matches.
newest() {
    apt-cache search --names-only "$1" | cut -d' ' -f1 | sort -V | tail -1
}

# Where the unpacked programs find their libraries.
debian_libraries() {
    printf '%s:' "$debian_rust"/usr/lib/*-linux-gnu "$debian_rust/usr/lib"
}

# Makes cargo use Debian's compiler. Sets $llvm, the version of LLVM that the compiler is linked
# with, and the array $cargo, the command to call in place of cargo.
use_debian_rust() {
    unpack rustc-web rust-web-src libstd-rust-web-dev "$(newest '^libstd-rust-web-1\.[0-9]+$')"
    llvm=$(readelf -d "$debian_rust"/usr/lib/*-linux-gnu/librustc_driver-*.so |
        sed -n 's/.*\[libLLVM\.so\.\([0-9]*\).*/\1/p' | head -1)
    unpack "libllvm$llvm"
    export RUSTC=$debian_rust/usr/bin/rustc
    cargo=(env "LD_LIBRARY_PATH=$(debian_libraries)" "$(rustup which cargo 2>/dev/null || command -v cargo)")
}
