#!/usr/bin/env bash
# Makes target/release-artifacts from what was built: the Go modules with this machine's static library, the
# npm package, and SHA256SUMS of all files.
#
# usage: release.sh PREFIX      PREFIX as given to stage_library.sh
set -euo pipefail

prefix=$1
here=$(cd "$(dirname "$0")/.." && pwd)
out=$here/target/release-artifacts

rm -rf "$out"
mkdir -p "$out"
platform=$("${GO:-go}" env GOOS)_$("${GO:-go}" env GOARCH)
"${PYTHON:-python3}" "$here/scripts/release_go.py" "$out/go" "$platform=$prefix/lib/libprojection.a"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
cp "$here/target/npm/unifyweaver-projection-$version.tgz" "$out/"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)
echo "release: $(wc -l <"$out/SHA256SUMS") files in $out"
