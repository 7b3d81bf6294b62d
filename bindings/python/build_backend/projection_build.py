"""Build backend: maturin, with the library's functions declared by the committed C header.

If `target/header.h` exists, maturin derives the cffi declarations from it. cffi reads plain
declarations only, so the header is copied there without its preprocessor lines. Otherwise this is
maturin's own backend.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import maturin
from maturin import (  # noqa: F401  part of the backend's interface
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

HERE = Path(__file__).resolve().parent.parent
HEADER = HERE.parent.parent / "include" / "projection.h"
CRATE = HERE.parent.parent / "crates" / "projection-ffi" / "Cargo.toml"


def declarations(header: str) -> str:
    """Returns the declarations in a C header in the form that cffi reads.

    Constants that are not integers are left out, because cffi can't declare them.
    """
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus.*?^#endif[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (line.rstrip() for line in text.splitlines())
    integer = re.compile(r"#define \w+ -?\d+$")
    kept = [line for line in lines if line and (line[0] != "#" or integer.match(line))]
    return "\n".join(kept) + "\n"


def _write_declarations() -> None:
    if not HEADER.is_file():
        raise SystemExit(f"{HEADER}: not found; build from a checkout of the whole project")
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", f"--manifest-path={CRATE}"]
    metadata = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    target = Path(json.loads(metadata)["target_directory"])
    target.mkdir(parents=True, exist_ok=True)
    # Renamed into place, because another build may be reading the old file.
    temporary = target / f"header.h.{os.getpid()}"
    temporary.write_text(declarations(HEADER.read_text(encoding="utf-8")), encoding="utf-8")
    temporary.replace(target / "header.h")


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    _write_declarations()
    name: str = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    _write_declarations()
    name: str = maturin.build_editable(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    raise SystemExit("there is no source distribution: install from a checkout, or build a wheel")
