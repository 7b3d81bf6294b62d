# Everything is built in one profile, see Cargo.toml.
CARGO ?= cargo
GO ?= go
PYTHON ?= python3
PREFIX ?= /usr/local
DIST = $(CURDIR)/target/dist
MODEL = models/all-MiniLM-L6-v2

# Programs in C and Go find the staged library at build time and at run time.
export PKG_CONFIG_PATH := $(DIST)/lib/pkgconfig:$(PKG_CONFIG_PATH)

.PHONY: lib
lib:
	$(CARGO) build --release --package projection-ffi
	scripts/stage_library.sh target/release $(DIST)

.PHONY: header
header:
	UPDATE_HEADER=1 $(CARGO) test --release --package projection-ffi --test header

.PHONY: model
model:
	$(PYTHON) scripts/fetch_model.py
