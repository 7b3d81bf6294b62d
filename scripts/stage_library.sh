#!/bin/sh
# Installs the built C library into a folder: the header, the shared and the static library, and the
# files by which pkg-config and CMake find them. The folder may be moved afterwards.
#
# usage: stage_library.sh BUILD_FOLDER FOLDER
#
# The static library becomes one object in which every symbol is local except the functions of the
# header. A program can then link its own SQLite or another Rust library without a clash.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: stage_library.sh BUILD_FOLDER FOLDER, found $# arguments: $*" >&2
    exit 2
fi
build=$1
root=$2
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
major=${version%%.*}
mkdir -p "$root/include" "$root/lib/pkgconfig" "$root/lib/cmake/projection"
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
    shared=libprojection.$major.dylib
    soname=@rpath/$shared
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
    shared=libprojection.so.$version
    soname=libprojection.so.$major
    # Without -lgcc_s: compilers add the unwinder themselves, the static one for -static.
    system_libraries="-lutil -lrt -lpthread -lm -ldl"
    ;;
esac
rm -f "$root/lib/libprojection.a"
ar rcs "$root/lib/libprojection.a" "$work/projection.o"
# Linkers find the shared library first under -lprojection. The static one gets a name of its own,
# because CMake and Meson put a path to an archive before the program's objects.
ln -sf libprojection.a "$root/lib/libprojection_static.a"

for kind in projection projection-static; do
    case $kind in
    projection) libraries="-lprojection
Libs.private: $system_libraries" ;;
    *) libraries="-lprojection_static $system_libraries" ;;
    esac
    cat >"$root/lib/pkgconfig/$kind.pc" <<EOF
prefix=\${pcfiledir}/../..
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: $kind
Description: Semantic projections for retrieval
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} $libraries
EOF
done

cat >"$root/lib/cmake/projection/projectionConfig.cmake" <<EOF
get_filename_component(_projection "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET projection::projection)
  add_library(projection::projection SHARED IMPORTED)
  set_target_properties(projection::projection PROPERTIES
    IMPORTED_LOCATION "\${_projection}/lib/$shared"
    IMPORTED_SONAME "$soname"
    INTERFACE_INCLUDE_DIRECTORIES "\${_projection}/include")
  add_library(projection::projection_static STATIC IMPORTED)
  set_target_properties(projection::projection_static PROPERTIES
    IMPORTED_LOCATION "\${_projection}/lib/libprojection.a"
    INTERFACE_LINK_LIBRARIES "$(echo "$system_libraries" | sed 's/ -/;-/g')"
    INTERFACE_INCLUDE_DIRECTORIES "\${_projection}/include")
endif()
unset(_projection)
EOF
cat >"$root/lib/cmake/projection/projectionConfigVersion.cmake" <<EOF
set(PACKAGE_VERSION $version)
if(PACKAGE_FIND_VERSION_MAJOR STREQUAL $major AND NOT PACKAGE_FIND_VERSION VERSION_GREATER $version)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL $version)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
EOF
