#!/usr/bin/env python3
"""Builds the page, and serves it on this machine alone.

usage: site.py build SITE [--store STORE.db]   exports a projection, by default the FAQ's,
                                               and copies it with page and engine to SITE
       site.py serve SITE [--port 8600]        until Ctrl-C; port 0 stands for any free one

The folder SITE is complete. Any server of static files can serve it that knows the type of
.wasm; browsers keep pages for offline use only from https or from the machine itself.
"""

import argparse
import gzip
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent
ROOT = PAGE.parent.parent
ENGINE = ROOT / "bindings/js"
EMBEDDING_MODEL = ROOT / "models/all-MiniLM-L6-v2"
PROJECTION = ROOT / "target/release/projection"

PAGE_FILES = [
    "index.html",
    "style.css",
    "app.js",
    "worker.js",
    "embedding-model.js",
    "picture.js",
    "icon.svg",
    "app.webmanifest",
]
ENGINE_FILES = [
    "index.js",
    "engine.js",
    "load.js",
    "wasm/projection-embedder.wasm",
    "wasm/projection-embedder-scalar.wasm",
]
DATA_FILES = ["manifest.json", "model.safetensors", "answers.safetensors", "texts.json"]
EMBEDDING_MODEL_FILES = [
    "model.safetensors",
    "tokenizer.json",
    "config.json",
    "sentence_bert_config.json",
]

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(source, target):
    """Links the file if possible: the embedding model is large."""
    if not source.is_file():
        sys.exit(f"missing: {source}; see make edge-demo")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def copy(source, target):
    if not source.is_file():
        sys.exit(f"missing: {source}; see make edge-demo")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def build(site, store):
    if store is None:
        # The store of `make demo`, trained now if it does not exist.
        sys.path.insert(0, str(ROOT / "examples"))
        import demo

        projection = ["--projection", demo.train()]
        store = ROOT / demo.STORE
    else:
        projection = []
    command = [PROJECTION, "export", store, *projection, "--format", "edge", site / "data"]
    site.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)

    for name in PAGE_FILES + ["sw.js"]:
        copy(PAGE / name, site / name)
    for name in ENGINE_FILES:
        copy(ENGINE / name, site / "engine" / name)
    for name in EMBEDDING_MODEL_FILES:
        place(EMBEDDING_MODEL / name, site / "embedding-model" / name)

    files = PAGE_FILES + [f"engine/{name}" for name in ENGINE_FILES]
    files += [f"data/{name}" for name in DATA_FILES]
    sums = {name: sha256(site / name) for name in files + ["sw.js"]}
    embedding_model = [f"embedding-model/{name}" for name in EMBEDDING_MODEL_FILES]
    about = {
        # A change of any file changes the version.
        "version": hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16],
        # The page's address is that of its folder.
        "files": ["./", "site.js", *files],
        "embeddingModel": [
            {"path": name, "bytes": (site / name).stat().st_size, "sha256": sha256(site / name)}
            for name in embedding_model
        ],
    }
    (site / "site.js").write_text(f"self.SITE = {json.dumps(about, indent=1)};\n")
    show(site, files + ["sw.js", "site.js"], embedding_model)


def show(site, files, embedding_model):
    """Prints what a visitor's device loads: one of the two builds of the engine, and the rest."""
    parts = {"page": [], "engine": [], "data": []}
    for name in files:
        if not name.endswith("-scalar.wasm"):
            folder = name.split("/")[0]
            parts[folder if folder in parts else "page"].append(site / name)
    parts["embedding model"] = [site / name for name in embedding_model]
    print(f"{'what a visitor loads':<20} {'bytes':>12} {'gzipped':>12}")
    for what, paths in parts.items():
        contents = [path.read_bytes() for path in paths]
        size = sum(map(len, contents))
        # Weights do not compress.
        zipped = "" if what == "embedding model" else f"{sum(len(gzip.compress(c)) for c in contents):,}"
        print(f"{what:<20} {size:>12,} {zipped:>12}")


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}

    def end_headers(self):
        # The service worker decides what is kept.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format, *args):
        pass


def serve(site, port):
    if not (site / "site.js").is_file():
        sys.exit(f"{site}: not a built site, expected the folder of `site.py build`")

    def handler(*args):
        return Handler(*args, directory=site)

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "serve"):
        command = commands.add_parser(name)
        command.add_argument("site", type=Path)
        if name == "build":
            command.add_argument("--store", type=Path)
        else:
            command.add_argument("--port", type=int, default=8600)
    arguments = parser.parse_args()
    if arguments.command == "build":
        build(arguments.site, arguments.store)
    else:
        serve(arguments.site, arguments.port)


if __name__ == "__main__":
    main()
