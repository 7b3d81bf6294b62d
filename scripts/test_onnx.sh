#!/usr/bin/env bash
# Runs exported models in ONNX Runtime's Go and JavaScript bindings and compares the results with
# the engine's: every conformance model, a transformer, and one model of each kind trained on the
# FAQ.
#
# usage: test_onnx.sh PYTHON MODEL_FOLDER
#
# Needs the command `projection` and Node with npm. PYTHON must have the packages of
# tests/interop/requirements.txt; the Go program loads their ONNX Runtime.
set -euo pipefail

python=$1
model=$2
here=$(cd "$(dirname "$0")/.." && pwd)
cases=$here/target/tests/onnx

command -v npm >/dev/null || {
    echo "missing: npm. Install Node 20 or later (Debian: nodejs npm)." >&2
    exit 1
}
rm -rf "$cases"
mkdir -p "$cases"
"$python" "$here/tests/interop/onnx_export.py" "$here/target/release/projection" "$model" \
    --cases "$cases" >/dev/null

library=$("$python" -c 'import pathlib, onnxruntime
print(*(pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*"))')
(cd "$here/tests/onnx/go" && test -z "$(gofmt -l .)" && "${GO:-go}" vet . &&
    "${GO:-go}" run . "$library" "$cases")

# npm writes into the working folder, so it must not be the checkout.
work=$here/target/onnx-js
mkdir -p "$work"
cp "$here"/tests/onnx/js/* "$work/"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null &&
    node check.mjs "$cases")
