#!/bin/sh
# Reports what is missing for `make demo` and `make test`, and how to install it.
set -u
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")

missing=0

need() { # COMMAND WHAT-TO-INSTALL
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "missing: $1. Install $2." >&2
        missing=1
    fi
}

# at_least NAME FOUND WANTED HOW: compares the first two numbers of dotted versions.
at_least() {
    found=$(printf '%s' "$2" | sed 's/[^0-9.].*//')
    if [ -z "$found" ]; then
        return
    fi
    oldest=$(printf '%s\n%s\n' "$found" "$3" | sort -t . -k 1,1n -k 2,2n | head -n 1)
    if [ "$oldest" != "$3" ]; then
        echo "too old: $1 $found, needs $3 or later. $4" >&2
        missing=1
    fi
}

need "${CARGO:-cargo}" "Rust $rust or later with rustup (rust-lang.org/tools/install)"
need cc "a C compiler (Debian: gcc, Fedora: gcc, macOS: xcode-select --install)"
need ld "the linker of GNU binutils (Debian and Fedora: binutils)"
need pkg-config "pkg-config (Debian: pkg-config, Fedora: pkgconf, macOS: brew install pkgconf)"
need "${GO:-go}" "Go 1.24 or later (go.dev/doc/install)"
need "${PYTHON:-python3}" "Python 3.11 or later with pip and venv (Debian: python3 python3-pip python3-venv)"
[ "$(uname -s)" = Darwin ] || need objcopy "GNU binutils (Debian and Fedora: binutils)"
[ $missing -eq 0 ] || exit 1

at_least Rust "$("${CARGO:-cargo}" --version | sed 's/^cargo //')" "$rust" "Run: rustup update."
at_least Go "$("${GO:-go}" env GOVERSION | sed 's/^go//')" 1.24 "See go.dev/doc/install."
at_least Python "$("${PYTHON:-python3}" -c 'import platform; print(platform.python_version())')" 3.11 \
    "See python.org/downloads."
if ! "${PYTHON:-python3}" -c 'import pip, venv, ensurepip' >/dev/null 2>&1; then
    echo "missing: Python's pip or venv. Install them (Debian: python3-pip python3-venv)." >&2
    missing=1
fi
exit $missing
