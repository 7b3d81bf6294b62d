#!/usr/bin/env python3
"""Makes the Go modules of a release: the package, the server, and one module a platform with the
static library, so that a program builds with a C compiler alone.

usage: release_go.py FOLDER GOOS_GOARCH=LIBRARY...

FOLDER/tree gets the files to commit for the release's tags, laid out as in the repository, and
FOLDER/proxy the same modules as a Go proxy serves them: GOPROXY=file://FOLDER/proxy.

A checkout links the library that pkg-config finds, because it has no other. A release links its own
library unless a build tag, projection_dynamic or projection_static, asks for pkg-config.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATH = "bindings/go"
MODULE = f"github.com/unifyweaver/projection/{PATH}"
VERSION = "v" + re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
# GitHub refuses a larger file.
LARGEST = 100 << 20

NATIVE = """\
// Package native holds the static library of github.com/unifyweaver/projection/bindings/go for one
// platform. Programs import that package, not this one.
package native

// #cgo LDFLAGS: ${SRCDIR}/libprojection.a -lpthread -lm -ldl -lrt -lutil
import "C"
"""
LINK = """\
//go:build cgo && !projection_dynamic && !projection_static

package {}

// #cgo CFLAGS: -I${{SRCDIR}}
import "C"
"""
# The end of the file's name limits it to the platform.
LINK_PLATFORM = f"""\
//go:build cgo && !projection_dynamic && !projection_static

package {{}}

import _ "{MODULE}/native/{{}}"
"""
LINK_OTHER = """\
//go:build cgo && !projection_dynamic && !projection_static && {}

package {}

// #error this release has no native library for this platform: install it and build with -tags projection_dynamic
import "C"
"""


def main() -> None:
    libraries = dict(argument.partition("=")[::2] for argument in sys.argv[2:])
    if not libraries or not all(libraries.values()):
        sys.exit(f"{__doc__}\nexpected a folder and platforms with their libraries, found: {sys.argv[1:]}")
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    tree = folder / "tree" / PATH
    for file in git("ls-files", "-z", PATH).split("\0")[:-1]:
        copy(ROOT / file, folder / "tree" / file)

    for platform, library in libraries.items():
        native = tree / "native" / platform
        copy(Path(library), native / "libprojection.a")
        (native / "native.go").write_text(NATIVE)
        (native / "go.mod").write_text(f"module {MODULE}/native/{platform}\n\ngo 1.24\n")
    for package in (tree, tree / "npy"):
        copy(ROOT / "include/projection.h", package / "projection.h")
        shared = package / "link_shared.go"
        shared.write_text("//go:build projection_dynamic" + shared.read_text().removeprefix("//go:build !projection_static"))
        name = "npy" if package.name == "npy" else "projection"
        (package / "link_release.go").write_text(LINK.format(name))
        others = " && ".join("!({} && {})".format(*platform.split("_")) for platform in libraries)
        (package / "link_release_other.go").write_text(LINK_OTHER.format(others, name))
        for platform in libraries:
            (package / f"link_release_{platform}.go").write_text(LINK_PLATFORM.format(name, platform))

    natives = [f"{MODULE}/native/{platform}" for platform in libraries]
    edit(tree, *(f"-require={native}@{VERSION}" for native in natives))
    server = tree / "server"
    edit(server, f"-dropreplace={MODULE}", f"-require={MODULE}@{VERSION}",
         *(f"-require={native}@{VERSION}" for native in natives))
    # Programs for development, which nobody installs.
    for development in (tree / "benches", server / "tools"):
        shutil.rmtree(development)

    for module in (*(tree / "native" / platform for platform in libraries), tree, server):
        for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
            copy(ROOT / licence, module / licence)
        serve(module, folder / "tree", folder / "proxy")


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)


def edit(module: Path, *changes: str) -> None:
    subprocess.run(["go", "mod", "edit", *changes], check=True, cwd=module)


def serve(module: Path, tree: Path, proxy: Path) -> None:
    """Writes a module as the files that a proxy answers with."""
    path = "github.com/unifyweaver/projection/" + module.relative_to(tree).as_posix()
    versions = proxy / path / "@v"
    versions.mkdir(parents=True)
    (versions / "list").write_text(VERSION + "\n")
    (versions / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION, "Time": commit_time()}))
    copy(module / "go.mod", versions / f"{VERSION}.mod")
    # A folder with a go.mod of its own belongs to another module.
    nested = [file.parent for file in module.rglob("go.mod") if file.parent != module]
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(module.rglob("*")):
            if file.is_file() and not any(file.is_relative_to(other) for other in nested):
                if file.stat().st_size > LARGEST:
                    sys.exit(f"{file}: {file.stat().st_size} bytes, expected at most {LARGEST}")
                # A date of its own keeps the file the same in every build.
                entry = zipfile.ZipInfo(f"{path}@{VERSION}/{file.relative_to(module).as_posix()}")
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())


def commit_time() -> str:
    seconds = int(git("log", "-1", "--format=%ct"))
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


main()
