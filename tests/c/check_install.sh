#!/usr/bin/env bash
# Installs with `make install`, moves what was installed, builds programs against it from an empty
# environment and runs them: with the compilers alone, CMake and Meson, linked shared and static.
#
# usage: check_install.sh ROOT WORK_FOLDER CC CXX
set -euo pipefail

root=$1
work=$2
# Not in the environment: Cargo would build everything written in C again.
cc=$3
cxx=$4
here=$root/tests/c
prefix=$work/moved
rm -rf "$work"
mkdir -p "$work"/{plain,cmake,meson,empty}
linux=$([ "$(uname -s)" != Linux ] || echo yes)
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
clean() {
    env -i PATH="$PATH" HOME="$work" PKG_CONFIG_PATH="$prefix/lib/pkgconfig" \
        CMAKE_PREFIX_PATH="$prefix" CC="$cc" CXX="$cxx" "$@"
}
# Runs a command, whose output matters only after a failure.
quietly() {
    clean "$@" >"$work/log" 2>&1 || fail "$*: $(cat "$work/log")"
}
# As in Makefile: a missing tool is an error where everything must run, and a skip elsewhere.
have() {
    command -v "$1" >/dev/null && return
    echo "skipped: $1 is not installed"
    [ "${CI:-}" != true ] || exit 1
    return 1
}

make -s -C "$root" install PREFIX="$work/installed" DESTDIR=
make -s -C "$root" install PREFIX=/opt/projection DESTDIR="$work/staged"
diff -r "$work/installed" "$work/staged/opt/projection" || fail "DESTDIR changes what is installed"
mv "$work/installed" "$prefix"
version=$(clean pkg-config --modversion projection)
clean "$prefix/bin/projection" --version | grep -F "$version" || fail "the command is not version $version"
if [ "$linux" ]; then
    readelf -d "$prefix/lib/libprojection.so" | grep -F "soname: [libprojection.so.${version%%.*}]" ||
        fail "the soname does not follow version $version"
    ! readelf -S "$prefix/bin/projection" | grep -F .symtab || fail "the command is not stripped"
fi

# Runs a program. One linked with -static must run where there is no other file, and one linked with
# -static-libgcc must need nothing but the C library.
runs() {
    local program=$1 needed
    quietly "$program" "$root/tests/conformance"
    echo "ok      ${program#"$work/"}: $(tail -n 1 "$work/log")"
    [ "$linux" ] || return 0
    needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | xargs)
    case $program:$needed in
    */all-static*:?* | */static*libprojection* | */libc-only*libgcc_s*) fail "$program needs $needed" ;;
    esac
    case $program in */all-static*)
        ln "$program" "$work/empty/program"
        [ "$(id -u)" != 0 ] || chroot "$work/empty" /program >"$work/log" 2>&1 ||
            grep -q "usage: conformance" "$work/log" || fail "$program in an empty folder: $(cat "$work/log")"
        rm "$work/empty/program"
    esac
}

# usage: plain NAME PKG_CONFIG_ARGUMENTS OPTION...     with C and with C++
plain() {
    local name=$1 flags language compiler
    flags=$(clean pkg-config --cflags --libs $2)
    shift 2
    for language in c c++; do
        compiler=$([ $language = c ] && echo "$cc" || echo "$cxx")
        have "$compiler" || continue
        quietly "$compiler" -x $language "$here/conformance.c" "$here/check.c" -x none \
            -o "$work/plain/$name-$language" "$@" $flags -lm
        runs "$work/plain/$name-$language"
    done
}
plain shared projection -Wl,-rpath,"$prefix/lib"
plain static projection-static
if [ "$linux" ]; then
    plain libc-only projection-static -static-libgcc -static-libstdc++
    plain all-static projection-static -static
    plain all-static-too "--static projection" -static
fi

for tool in cmake meson; do
    cp "$here"/conformance.c "$here"/check.[ch] "$here/install/"* "$work/$tool"
done
if have cmake; then
    quietly cmake -S "$work/cmake" -B "$work/cmake/build" -DVERSION="${version%.*}"
    quietly cmake --build "$work/cmake/build"
    ! clean cmake -S "$work/cmake" -B "$work/cmake/other" -DVERSION="$((${version%%.*} + 1))" >"$work/log" 2>&1 ||
        fail "CMake accepts another major version"
    for program in "$work"/cmake/build/{shared,static,all-static}-*; do runs "$program"; done
fi
if have meson; then
    quietly meson setup "$work/meson/build" "$work/meson"
    quietly meson compile -C "$work/meson/build"
    for program in "$work"/meson/build/{shared,{,all-}static{,-too}}; do runs "$program"; done
fi
