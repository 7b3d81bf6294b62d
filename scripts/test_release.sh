#!/usr/bin/env bash
# Installs the artifacts of `make release` where nothing is installed, outside the checkout, and runs
# real programs.
#
# usage: test_release.sh
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
artifacts=$here/target/release-artifacts
go=${GO:-go}
version=v$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
module=github.com/unifyweaver/projection/bindings/go

step() { echo "release: $1"; }

step "checksums"
(cd "$artifacts" && sha256sum --check --quiet --strict SHA256SUMS)

work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
model=$work/d8_mixed
case=$work/d8_mixed-t0.1
cp -R "$here/tests/conformance/models/d8_mixed" "$here/tests/conformance/cases/d8_mixed-t0.1" \
    "$here/tests/conformance/legacy_store" "$work/"
mkdir "$work/program" "$work/tmp"
cp "$here/tests/release/go/main.go" "$work/program/"
cd "$work/program"

# The proxy of the artifacts, no pkg-config and no library but what the modules bring.
proxies=$("$go" env GOPROXY)
export TMPDIR=$work/tmp CGO_ENABLED=1 CGO_LDFLAGS= CGO_CFLAGS= PKG_CONFIG=/none PKG_CONFIG_PATH= LD_LIBRARY_PATH=
export GOMODCACHE=$work/modules GOBIN=$work/bin GOFLAGS=-modcacherw GOWORK=off
export GONOSUMDB=github.com/unifyweaver/projection GOPROXY=file://$artifacts/go/proxy

step "go get, go build"
"$go" mod init example.org/program 2>/dev/null
"$go" get "$module@$version"
"$go" build -o program .
./program "$case" "$model"

step "go mod vendor, without a proxy"
"$go" mod vendor
GOPROXY=off "$go" build -mod=vendor -o vendored .
./vendored "$case" "$model"

step "the build tag projection_dynamic links the shared library that pkg-config finds"
PKG_CONFIG=pkg-config PKG_CONFIG_PATH=$here/target/dist/lib/pkgconfig \
    "$go" build -tags projection_dynamic -o dynamic .
LD_LIBRARY_PATH=$here/target/dist/lib ./dynamic "$case" "$model"
if ./dynamic "$case" "$model" 2>/dev/null; then
    echo "test_release.sh: the program with projection_dynamic runs without the shared library" >&2
    exit 1
fi

if [ "$("$go" env GOOS)" = linux ]; then
    step "a program for glibc 2.28"
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/tests/release/requirements.txt"
    CC="$work/venv/bin/python -m ziglang cc -target $(uname -m)-linux-gnu.2.28" CGO_LDFLAGS=-lunwind \
        "$go" build -o old_glibc .
    ./old_glibc "$case" "$model"
    newest=$(objdump -T old_glibc | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    case $newest in
    GLIBC_2.2[0-8] | GLIBC_2.2[0-8].* | GLIBC_2.1*) echo "needs $newest" ;;
    *)
        echo "test_release.sh: the program needs $newest, expected at most GLIBC_2.28" >&2
        exit 1
        ;;
    esac
fi

step "go install of the server"
GOPROXY=$GOPROXY,$proxies "$go" install "$module/server@$version"
"$work/bin/server" version | grep "^server ${version#v},"
"$work/bin/server" --store "$work/legacy_store/lda.db" --listen 127.0.0.1:0 >"$work/server.log" 2>&1 &
server=$!
address=
for _ in $(seq 100); do
    address=$(sed -n 's/.*"msg":"serving","address":"\([^"]*\)".*/\1/p' "$work/server.log")
    [ -z "$address" ] || break
    sleep 0.1
done
curl --silent --show-error --fail "http://$address/v1/projections" | grep -q '"kind":"multi_head"' || {
    echo "test_release.sh: the server does not list its models" >&2
    cat "$work/server.log" >&2
    exit 1
}
echo "the server lists its models"
