# The two commands for a fresh machine are `make demo` and `make test`; CONTRIBUTING.md lists
# the others. Everything is built in one profile, see Cargo.toml.

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
	@sed -n 's/^| `make \([a-z-]*\)` | \(.*\) |/make \1:\t\2/p' CONTRIBUTING.md | expand -t 20

.PHONY: tools
tools:
	@CARGO="$(CARGO)" GO="$(GO)" PYTHON="$(PYTHON)" scripts/check_tools.sh

# --- Running ---------------------------------------------------------------------------

.PHONY: demo
demo: tools model lib
	$(CARGO) build --release --package projection-cli --package ask
	$(MAKE) -C examples/c
	cd examples/go && $(GO) build -o ../../target/examples/go/ask .
	$(PYTHON) examples/demo.py

# The microservice in Go on the demo's store; SERVE_FLAGS are further flags for it.
.PHONY: serve
serve: demo server
	target/server/server --store target/demo/lda.db --text-model-dir $(MODEL) \
	    --search.feedback store $(SERVE_FLAGS)

# One file that needs nothing beside it but a store.
.PHONY: server
server: lib
	cd bindings/go/server && $(GO) build -tags projection_static -o ../../../target/server/server .

# The FAQ in the browser, see examples/edge-web; EDGE_FLAGS are further flags for its server.
.PHONY: edge-demo
edge-demo: edge-site
	$(PYTHON) examples/edge-web/site.py serve target/edge-demo/site $(EDGE_FLAGS)

.PHONY: edge-site
edge-site: model
	scripts/build_wasm.sh embedder
	$(CARGO) build --release --package projection-cli
	$(PYTHON) examples/edge-web/site.py build target/edge-demo/site

.PHONY: model
model:
	@$(PYTHON) scripts/fetch_model.py

.PHONY: lib
lib:
	$(CARGO) build --release --package projection-ffi
	scripts/stage_library.sh target/release $(DIST)

# Puts the command and the C library below $(PREFIX), such as `make install PREFIX=~/.local`.
# Packagers set DESTDIR.
.PHONY: install
install:
	$(CARGO) build --release --package projection-cli --package projection-ffi
	scripts/stage_library.sh target/release $(PREFIX) $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 target/release/projection $(DESTDIR)$(PREFIX)/bin/

.PHONY: bench
bench: $(VENV) lib
	$(VENV) -m pip install --quiet --disable-pip-version-check \
		-r crates/projection-engine/benches/requirements.txt
	PYTHON=$(CURDIR)/$(VENV) $(CARGO) bench --package projection-engine --bench project -- $(BENCH)
	PYTHON=$(CURDIR)/$(VENV) $(CARGO) bench --package projection-engine --bench loading -- $(BENCH)
	$(CARGO) bench --package projection-engine --bench calls -- $(BENCH)
	cd bindings/go && $(GO) run ./benches $(filter --quick,$(BENCH)) $(CURDIR)/target/tmp
	$(VENV) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./bindings/python
	$(VENV) -m pip install --quiet --disable-pip-version-check ./bindings/python
	$(VENV) bindings/python/benches/project.py $(BENCH)

# BENCH="--soak 10" soaks it for ten minutes instead.
.PHONY: bench-server
bench-server: demo server
	cd bindings/go/server/tools && $(GO) build -o ../../../../target/tools/ github.com/rakyll/hey
	cd bindings/go/server/tools/ghz && $(GO) build -o ../../../../../target/tools/ github.com/bojand/ghz/cmd/ghz
	$(PYTHON) scripts/bench_server.py $(BENCH)

# --- Checking --------------------------------------------------------------------------

.PHONY: test
test: tools model lint test-rust test-c test-go test-python

.PHONY: lint
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --quiet --workspace --no-deps

# The header's freshness is one of these tests.
.PHONY: test-rust
test-rust: model
	$(CARGO) test --release --workspace

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
	$(CARGO) build --release --package projection-cli
	GO="$(GO)" PYTHON="$(PYTHON)" scripts/test_server.sh $(DIST)
	$(PYTHON) tests/server_readme.py

.PHONY: test-python
test-python: model $(VENV)
	$(CARGO) build --release --package projection-cli
	$(VENV) tests/conformance/generate.py --check
	$(VENV) tests/interop/python_code.py target/release/projection $(MODEL)
	$(VENV) tests/interop/evaluate.py target/release/projection $(MODEL)
	$(VENV) tests/interop/onnx_export.py target/release/projection $(MODEL)
	$(CARGO) test --release --package projection-engine --test dump
	PYTHON="$(PYTHON)" scripts/test_python.sh

# Needs Node, so it is no part of `make test`; CI runs it.
.PHONY: test-onnx
test-onnx: model $(VENV)
	$(CARGO) build --release --package projection-cli
	GO="$(GO)" scripts/test_onnx.sh $(VENV) $(MODEL)

# Needs Node 18 or later, and for the build what scripts/build_wasm.sh says.
.PHONY: wasm
wasm:
	scripts/build_wasm.sh

.PHONY: test-js
test-js: model
	CARGO="$(CARGO)" PYTHON="$(PYTHON)" scripts/test_js.sh

# Beside onnxruntime-web. Needs Node and npm.
.PHONY: bench-js
bench-js: test-js
	cd bindings/js/bench && npm install --silent --no-fund --no-audit && node bench.js $(BENCH)

# The page of edge-demo in Chromium, with and without a network. Needs Node and npm too;
# CHROMIUM is the browser where it is not /usr/bin/chromium.
.PHONY: test-edge
test-edge: edge-site
	target/release/projection export target/demo/lda.db --format edge target/edge-demo/exact \
	    --answers-precision f32
	cd examples/edge-web/test && npm ci --silent --no-fund --no-audit
	node examples/edge-web/test/browser.test.mjs target/edge-demo/site target/edge-demo/exact \
	    target/demo/lda.db

# Needs torch for the system's Python (Debian: python3-torch), so it is no part of `make test`;
# CI runs it.
TORCH_PYTHON ?= /usr/bin/python3
.PHONY: test-torch
test-torch:
	@$(TORCH_PYTHON) -c 'import torch, numpy' 2>/dev/null || { \
	    echo "missing: torch for $(TORCH_PYTHON). Install it (Debian: python3-torch), or set TORCH_PYTHON." >&2; \
	    exit 1; }
	$(CARGO) build --release --package projection-cli
	$(TORCH_PYTHON) tests/interop/torch_parity.py target/release/projection

# The tests of all that is unsafe under AddressSanitizer; builds on its own, for some minutes.
.PHONY: test-asan
test-asan:
	CARGO="$(CARGO)" scripts/test_asan.sh

# Runs the README's commands and programs, see the script.
.PHONY: test-readme
test-readme: model lib
	$(PYTHON) tests/readme.py

.PHONY: header
header:
	UPDATE_HEADER=1 $(CARGO) test --release --package projection-ffi --test header

$(VENV): tests/conformance/requirements.txt tests/interop/requirements.txt
	$(PYTHON) -m venv target/venv
	$(VENV) -m pip install --quiet --disable-pip-version-check -r tests/conformance/requirements.txt \
		-r tests/interop/requirements.txt
	touch $@

.PHONY: clean
clean:
	$(CARGO) clean
