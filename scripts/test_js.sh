#!/usr/bin/env bash
# Tests the JavaScript package in Node: the conformance vectors, damaged files, and the FAQ compared
# with the command. Then tests it as a user installs it: packed, outside the checkout, in every
# runtime and through every bundler.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
export MODEL_DIR=$PWD/models/all-MiniLM-L6-v2
export PROJECTION=$PWD/target/release/projection

${PYTHON:-python3} scripts/fetch_model.py
scripts/build_wasm.sh

# Writes the models of the conformance vectors as one-file models.
$CARGO test --quiet --release --workspace --test dump

# A store of the FAQ with a trained model.
$CARGO build --quiet --release --workspace --bins
folder=target/tests/js
rm -rf $folder
mkdir -p $folder
$PROJECTION import $folder/lda.db examples/faq/faq.json >/dev/null
$PROJECTION embed $folder/lda.db --model-dir "$MODEL_DIR" >/dev/null
$PROJECTION train $folder/lda.db --name faq --json >$folder/trained.json
id=$(sed "s/^{\"id\":\([0-9]*\),.*/\1/" $folder/trained.json)
$PROJECTION export $folder/lda.db --projection "$id" --output $folder/faq.safetensors >/dev/null
# The files that the READMEs' programs read, as the main README's commands write them.
cp $folder/faq.safetensors target/model.safetensors
$PROJECTION export $folder/lda.db --projection "$id" --format edge target/readme-edge >/dev/null
export FAQ_STORE=$PWD/$folder/lda.db FAQ_PROJECTION=$id FAQ_MODEL=$PWD/$folder/faq.safetensors

cd bindings/js
node --expose-gc --test test/*.test.js

cd test/installed
# Scripts of packages are not needed. What is installed already stays.
[ node_modules/.package-lock.json -nt package-lock.json ] ||
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
node --test installed.test.mjs
