#!/bin/sh
# Lints the API's definition and writes what is made from it: Go code and the OpenAPI document.
# It needs no network once the tools' modules are there.
#
# usage: generate.sh [--check]    --check fails where a committed file is not up to date
set -eu
cd "$(dirname "$0")"
go=${GO:-go}
tools=$(cd ../../.. && pwd)/target/tools
mkdir -p "$tools"
(cd tools && "$go" build -o "$tools/" github.com/bufbuild/buf/cmd/buf \
    google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/cmd/protoc-gen-connect-go)
export PATH="$tools:$PATH"
export BUF_CACHE_DIR="$tools/buf-cache"

buf lint proto
buf format proto --exit-code --diff
# What was committed, and files for the generators.
committed=$(mktemp -d)
trap 'rm -rf "$committed"' EXIT
if [ "${1:-}" = --check ]; then
    cp -R internal/gen "$committed/gen"
    cp internal/rest/openapi.json "$committed/openapi.json"
fi
(cd proto && buf generate)
buf build proto -o "$committed/descriptors.binpb"
"$go" run ./internal/rest/openapi "$committed/descriptors.binpb" >internal/rest/openapi.json.new
mv internal/rest/openapi.json.new internal/rest/openapi.json
if [ "${1:-}" = --check ]; then
    diff -r "$committed/gen" internal/gen && diff "$committed/openapi.json" internal/rest/openapi.json || {
        echo "generate.sh: generated files were not up to date; commit what this run wrote" >&2
        exit 1
    }
fi
