#!/bin/sh
# Installs the built C library below a prefix: the header, the shared and the static library and
# pkg-config files.
#
# usage: stage_library.sh BUILD_FOLDER PREFIX [DESTDIR]
#
# The static library becomes one object in which every symbol is local except the functions of the
# header. A program can then link its own SQLite or another Rust library without a clash.
set -eu

build=$1
prefix=$2
root=${3-}$prefix
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
major=${version%%.*}
mkdir -p "$root/include" "$root/lib/pkgconfig"
install -m 644 "$here/include/projection.h" "$root/include/"

symbols=$(sed -n 's/^.*[ *]\(projection_[a-z_]*\)(.*$/\1/p' "$here/include/projection.h" | sort -u)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $(uname -s) in
Darwin)
    printf '_%s\n' $symbols >"$work/symbols"
    ld -r -o "$work/projection.o" $(printf -- '-u _%s ' $symbols) \
        -exported_symbols_list "$work/symbols" "$build/libprojection.a"
    install -m 755 "$build/libprojection.dylib" "$root/lib/libprojection.$major.dylib"
    ln -sf "libprojection.$major.dylib" "$root/lib/libprojection.dylib"
    system_libraries="-framework Security -framework CoreFoundation -lm"
    ;;
*)
    printf '%s\n' $symbols >"$work/symbols"
    ld -r -o "$work/projection.o" $(printf -- '-u %s ' $symbols) "$build/libprojection.a"
    # Rust's standard library contains LLVM bitcode, which other tools cannot read once it is merged.
    objcopy --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd \
        --keep-global-symbols="$work/symbols" "$work/projection.o"
    # Replace the file instead of overwriting it: a running program may have mapped the old one.
    objcopy --strip-debug "$build/libprojection.so" "$work/libprojection.so"
    chmod 755 "$work/libprojection.so"
    mv -f "$work/libprojection.so" "$root/lib/libprojection.so.$version"
    ln -sf "libprojection.so.$version" "$root/lib/libprojection.so.$major"
    ln -sf "libprojection.so.$major" "$root/lib/libprojection.so"
    system_libraries="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
    ;;
esac
rm -f "$root/lib/libprojection.a"
ar rcs "$root/lib/libprojection.a" "$work/projection.o"

for kind in projection projection-static; do
    case $kind in
    projection) libraries="-L\${libdir} -lprojection" ;;
    *) libraries="\${libdir}/libprojection.a $system_libraries" ;;
    esac
    cat >"$root/lib/pkgconfig/$kind.pc" <<EOF
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: $kind
Description: Semantic projections for retrieval
Version: $version
Cflags: -I\${includedir}
Libs: $libraries
EOF
done
