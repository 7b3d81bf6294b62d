#!/bin/sh
# Runs all Go tests against the staged shared and static library: the binding, its example and a
# program that links its own SQLite.
#
# usage: test_go.sh PREFIX      PREFIX as given to stage_library.sh
set -eu

prefix=$1
here=$(cd "$(dirname "$0")/.." && pwd)
go=${GO:-go}

command -v "$go" >/dev/null || {
    echo "test_go.sh: no Go; install Go 1.24 or newer, see https://go.dev/doc/install" >&2
    exit 1
}
test -e "$prefix/lib/pkgconfig/projection.pc" || {
    echo "test_go.sh: no library in $prefix; run \`make lib\` first" >&2
    exit 1
}

export CGO_ENABLED=1
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# Test programs find the shared library by this path on every platform, unlike LD_LIBRARY_PATH.
export CGO_LDFLAGS="-Wl,-rpath,$prefix/lib"
# Go's build cache does not see changes of a header outside its modules.
header=$(cksum <"$prefix/include/projection.h" | cut -d ' ' -f 1)
export CGO_CFLAGS="-O2 -g -DHEADER_$header"

step() {
    echo "go: $1"
    shift
    env "$@"
}

unformatted=$(gofmt -l "$here/bindings/go" "$here/examples/go" "$here/tests/go-sqlite")
test -z "$unformatted" || {
    echo "test_go.sh: run gofmt -w on" >&2
    echo "$unformatted" >&2
    exit 1
}

cd "$here/bindings/go"
step "vet" "$go" vet ./...
step "vet, static" "$go" vet -tags projection_static ./...
# Only this run does all rounds of the leak tests; -short and -race do a fiftieth of them.
step "shared library" "$go" test -count=1 ./...
step "static library" "$go" test -count=1 -short -tags projection_static ./...
step "race detector" "$go" test -count=1 -race ./...
step "cgocheck, constant garbage collection" \
    GODEBUG=cgocheck=1 GOGC=1 "$go" test -count=1 -short ./...
step "cgocheck of every pointer store" GOEXPERIMENT=cgocheck2 "$go" test -count=1 -short ./...

cd "$here/examples/go"
mkdir -p "$here/target/go"
step "vet, example" "$go" vet ./...
step "build, example" "$go" build -o "$here/target/go/ask" .
step "build, static example" "$go" build -tags projection_static -o "$here/target/go/ask-static" .

cd "$here/tests/go-sqlite"
# SQLite takes a minute to compile with optimisation and a few seconds without.
export CGO_CFLAGS="-O0 -DHEADER_$header"
step "vet, own SQLite" "$go" vet ./...
step "own SQLite, shared library" "$go" test -count=1 ./...
step "own SQLite, static library" "$go" test -count=1 -tags projection_static ./...
