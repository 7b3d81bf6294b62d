#!/usr/bin/env bash
# Runs exported models in ONNX Runtime's bindings for Go and JavaScript: every model of the
# conformance data, a transformer, and models of every kind trained on the FAQ, beside the engine.
#
# usage: test_onnx.sh PYTHON MODEL_FOLDER
#
# It needs the command `projection` and Node with npm. PYTHON has the packages of
# tests/interop/requirements.txt, whose ONNX Runtime Go runs.
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

# Beside the other things that are built, not in the checkout.
work=$here/target/onnx-js
mkdir -p "$work"
cp "$here"/tests/onnx/js/* "$work/"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null &&
    node check.mjs "$cases")
