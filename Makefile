# The two commands for a fresh machine are `make demo` and `make test`; CONTRIBUTING.md lists
# the others.
#
# Everything is built in one profile (see Cargo.toml), and Cargo always selects the whole
# workspace: if it selected one package, dependencies would be built again with other features.

CARGO ?= cargo
GO ?= go
PYTHON ?= python3
PREFIX ?= /usr/local
MODEL := models/all-MiniLM-L6-v2
DIST := $(CURDIR)/target/dist
VENV := target/venv/bin/python

# Programs in C and Go find the staged library when they are built and when they run.
export PKG_CONFIG_PATH := $(DIST)/lib/pkgconfig:$(PKG_CONFIG_PATH)
export LD_LIBRARY_PATH := $(DIST)/lib:$(LD_LIBRARY_PATH)
export DYLD_LIBRARY_PATH := $(DIST)/lib:$(DYLD_LIBRARY_PATH)

.PHONY: help
help:
	@sed -n 's/^| `make \([a-z0-9-]*\)` | \(.*\) |/make \1:\t\2/p' CONTRIBUTING.md | expand -t 20

.PHONY: tools
tools:
	@CARGO="$(CARGO)" GO="$(GO)" PYTHON="$(PYTHON)" scripts/check_tools.sh

# --- Running ---------------------------------------------------------------------------

.PHONY: demo
demo: tools model lib
	$(CARGO) build --release --workspace --bins
	$(MAKE) -C examples/c
	cd examples/go && $(GO) build -o ../../target/examples/go/ask .
	$(PYTHON) examples/demo.py

# Starts the Go microservice on the demo's store; SERVE_FLAGS are passed on to it.
.PHONY: serve
serve: demo server
	target/server/server --store target/demo/lda.db --embedding-model-dir $(MODEL) \
	    --search.feedback store $(SERVE_FLAGS)

# Builds the microservice as one executable that needs no shared library.
.PHONY: server
server: lib
	cd bindings/go/server && $(GO) build -tags projection_static -o ../../../target/server/server .

# Serves examples/edge-web, which searches the FAQ in the browser; EDGE_FLAGS are passed on to its server.
.PHONY: edge-demo
edge-demo: edge-site
	$(PYTHON) examples/edge-web/site.py serve target/edge-demo/site $(EDGE_FLAGS)

.PHONY: edge-site
edge-site: model
	scripts/build_wasm.sh embedder
	$(CARGO) build --release --workspace --bins
	$(PYTHON) examples/edge-web/site.py build target/edge-demo/site

.PHONY: model
model:
	@$(PYTHON) scripts/fetch_model.py

.PHONY: lib
lib:
	$(CARGO) build --release --workspace --lib
	scripts/stage_library.sh target/release $(DIST)

# Installs the command and the C library below $(PREFIX), such as `make install PREFIX=~/.local`.
# Packagers set DESTDIR. What is installed may be moved.
.PHONY: install
install:
	$(CARGO) build --release --workspace --lib --bins
	scripts/stage_library.sh target/release $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -s -m 755 target/release/projection $(DESTDIR)$(PREFIX)/bin/

.PHONY: bench
bench: $(VENV) lib
	$(VENV) -m pip install --quiet --disable-pip-version-check \
		-r crates/projection-engine/benches/requirements.txt
	PYTHON=$(CURDIR)/$(VENV) $(CARGO) bench --workspace --bench project -- $(BENCH)
	PYTHON=$(CURDIR)/$(VENV) $(CARGO) bench --workspace --bench loading -- $(BENCH)
	$(CARGO) bench --workspace --bench calls -- $(BENCH)
	cd bindings/go && $(GO) run ./benches $(filter --quick,$(BENCH)) $(CURDIR)/target/tmp
	$(VENV) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./bindings/python
	$(VENV) -m pip install --quiet --disable-pip-version-check ./bindings/python
	$(VENV) bindings/python/benches/project.py $(BENCH)

# BENCH="--soak 10" runs a soak test of ten minutes instead.
.PHONY: bench-server
bench-server: demo server
	cd bindings/go/server/tools && $(GO) build -o ../../../../target/tools/ github.com/rakyll/hey
	cd bindings/go/server/tools/ghz && $(GO) build -o ../../../../../target/tools/ github.com/bojand/ghz/cmd/ghz
	$(PYTHON) scripts/bench_server.py $(BENCH)

# --- Checking --------------------------------------------------------------------------

# Where CI=true, nothing is left out for want of a tool or of time.
LINT := lint test-unit
CONFORMANCE := test-rust test-c test-go test-python
ifeq ($(CI),true)
LINT := lint deny check-msrv test-unit
CONFORMANCE += test-js test-torch test-onnx
endif

.PHONY: test
test: tools model
	scripts/stage.sh "lint and unit tests" $(LINT:%="$(MAKE) %")
	scripts/stage.sh "conformance in every language" $(CONFORMANCE:%="$(MAKE) %")

.PHONY: lint
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --quiet --workspace --no-deps

# Licences, duplicate versions, sources and vulnerabilities of the dependencies, see deny.toml.
.PHONY: deny
deny:
	CARGO="$(CARGO)" scripts/check_dependencies.sh

.PHONY: check-msrv
check-msrv:
	CARGO="$(CARGO)" PYTHON="$(PYTHON)" scripts/check_msrv.sh

# Type checks for other targets. This needs no C compiler for them, because nothing is linked: with
# `true` as the compiler, SQLite is left out.
.PHONY: check-windows check-aarch64
check-windows: TARGET := x86_64-pc-windows-gnu
check-aarch64: TARGET := aarch64-unknown-linux-gnu
check-windows check-aarch64:
	@if [ -d "$$(rustc --print sysroot)/lib/rustlib/$(TARGET)" ] || rustup target add $(TARGET); then set -x; \
	TARGET_CC=true TARGET_AR=true RUSTFLAGS="-D warnings" \
	    $(CARGO) check --workspace --lib --bins --target $(TARGET); \
	else echo "NOT CHECKED: rustup cannot install $(TARGET)"; fi

.PHONY: test-unit
test-unit: model
	$(CARGO) test --release --workspace --lib --bins

# All other tests in Rust. The header's freshness is one of them.
.PHONY: test-rust
test-rust: model
	$(CARGO) test --release --workspace --test '*'
	$(CARGO) test --release --workspace --doc

# Damaged files of every format for FUZZ_SECONDS each, with seeds that no run had before; `make test`
# tries a few of fixed seeds.
FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$$(date +%s) $(CARGO) test --release \
	    -p projection-engine --test fuzz -- --nocapture

# Tests kernel, core and store for aarch64 under qemu; see the script for what it needs.
.PHONY: test-aarch64
test-aarch64:
	CARGO="$(CARGO)" scripts/test_aarch64.sh

.PHONY: test-c
test-c: model lib
	$(MAKE) -C examples/c check
	$(MAKE) -C tests/c check

.PHONY: test-go
test-go: model lib
	GO="$(GO)" scripts/test_go.sh $(DIST)
	cmp target/tests/rust_dump.txt target/tests/go_dump.txt

# Needs Chromium, and Go 1.26.7.
.PHONY: test-server
test-server: model lib
	$(CARGO) build --release --workspace --bins
	GO="$(GO)" PYTHON="$(PYTHON)" scripts/test_server.sh $(DIST)
	$(PYTHON) tests/server_readme.py

.PHONY: test-python
test-python: model $(VENV)
	$(CARGO) build --release --workspace --bins
	$(VENV) tests/conformance/generate.py --check
	$(VENV) tests/interop/python_code.py target/release/projection $(MODEL)
	$(VENV) tests/interop/evaluate.py target/release/projection $(MODEL)
	$(VENV) tests/interop/onnx_export.py target/release/projection $(MODEL)
	$(CARGO) test --release --workspace --test dump
	PYTHON="$(PYTHON)" scripts/test_python.sh

# Needs Node, so `make test` runs it in CI only.
.PHONY: test-onnx
test-onnx: model $(VENV)
	$(CARGO) build --release --workspace --bins
	GO="$(GO)" scripts/test_onnx.sh $(VENV) $(MODEL)

# Needs Node 20.19 or later, and the build needs what scripts/build_wasm.sh lists.
.PHONY: wasm
wasm:
	scripts/build_wasm.sh

# The npm package. `npm publish` of the file publishes it.
.PHONY: pack-js
pack-js: wasm
	mkdir -p target/npm
	npm pack --pack-destination target/npm ./bindings/js

# What a release consists of, in target/release-artifacts; see RELEASING.md.
.PHONY: release
release: lib pack-js
	GO="$(GO)" PYTHON="$(PYTHON)" scripts/release.sh $(DIST)

# Installs the artifacts of `make release` outside the checkout. Needs curl.
.PHONY: test-release
test-release: release
	GO="$(GO)" PYTHON="$(PYTHON)" scripts/test_release.sh

# Needs npm and Chromium, too.
.PHONY: test-js
test-js: model
	CARGO="$(CARGO)" PYTHON="$(PYTHON)" scripts/test_js.sh

# Compares with onnxruntime-web. Needs Node and npm.
.PHONY: bench-js
bench-js: test-js
	cd bindings/js/bench && npm install --silent --no-fund --no-audit && node bench.js $(BENCH)

# Tests the page of edge-demo in Chromium, with and without a network. Needs Node and npm too.
# CHROMIUM names the browser if it is not /usr/bin/chromium.
.PHONY: test-edge
test-edge: edge-site
	target/release/projection export target/demo/lda.db --format edge target/edge-demo/exact \
	    --answers-precision f32
	cd examples/edge-web/test && npm ci --silent --no-fund --no-audit
	node examples/edge-web/test/browser.test.mjs target/edge-demo/site target/edge-demo/exact \
	    target/demo/lda.db

# Needs torch for the system's Python (Debian: python3-torch), so `make test` runs it in CI only.
TORCH_PYTHON ?= /usr/bin/python3
.PHONY: test-torch
test-torch:
	@$(TORCH_PYTHON) -c 'import torch, numpy' 2>/dev/null || { \
	    echo "missing: torch for $(TORCH_PYTHON). Install it (Debian: python3-torch), or set TORCH_PYTHON." >&2; \
	    exit 1; }
	$(CARGO) build --release --workspace --bins
	$(TORCH_PYTHON) tests/interop/torch_parity.py target/release/projection

# Tests kernel, core and store under AddressSanitizer. Its own build takes minutes.
.PHONY: test-asan
test-asan:
	CARGO="$(CARGO)" scripts/test_asan.sh

# Runs the README's commands and programs.
.PHONY: test-readme
test-readme: model lib
	$(PYTHON) tests/readme.py

.PHONY: header
header:
	UPDATE_HEADER=1 $(CARGO) test --release --package projection-ffi --test generated

$(VENV): tests/conformance/requirements.txt tests/interop/requirements.txt
	$(PYTHON) -m venv target/venv
	$(VENV) -m pip install --quiet --disable-pip-version-check -r tests/conformance/requirements.txt \
		-r tests/interop/requirements.txt
	touch $@

.PHONY: lines
lines:
	@$(PYTHON) scripts/count_lines.py

.PHONY: clean
clean:
	$(CARGO) clean
