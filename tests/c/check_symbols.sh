#!/bin/sh
# The libraries export the functions of the header and nothing else, so that nothing of
# theirs, such as their SQLite, meets the same thing in a program.
#
# usage: check_symbols.sh HEADER LIBRARY_FOLDER WORK_FOLDER
set -eu

header=$1
libraries=$2
work=$3
mkdir -p "$work"
sed -n 's/^.*[ *]\(projection_[a-z0-9_]*\)(.*$/\1/p' "$header" | sort -u >"$work/header"
count=$(wc -l <"$work/header")
test "$count" -gt 0

case $(uname -s) in
Darwin)
    nm -gU "$libraries/libprojection.dylib" >"$work/shared.nm"
    nm -gU "$libraries/libprojection.a" >"$work/static.nm"
    prefix=_
    ;;
*)
    nm -D --defined-only "$libraries/libprojection.so" >"$work/shared.nm"
    nm -g --defined-only "$libraries/libprojection.a" >"$work/static.nm"
    prefix=
    ;;
esac
for kind in shared static; do
    awk 'NF == 3 { print $3 }' "$work/$kind.nm" | sed "s/^$prefix//" | sort -u >"$work/$kind"
    if ! diff "$work/header" "$work/$kind"; then
        echo "the $kind library does not export exactly the functions of the header" >&2
        exit 1
    fi
done
echo "ok      both libraries export the $(echo "$count" | tr -d ' ') functions of the header, and nothing else"
