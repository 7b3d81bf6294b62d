"""Build backend: maturin, given the committed C header to declare the library's functions by.

maturin makes the cffi declarations of `target/header.h` where that exists. cffi reads plain
declarations only, so the header goes there without its preprocessor lines. Nothing else
differs from maturin's own backend.
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
    """The declarations in a C header, as cffi reads them.

    Constants that are not whole numbers stay out: cffi has no way to declare them.
    """
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus.*?^#endif[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (line.rstrip() for line in text.splitlines())
    whole_number = re.compile(r"#define \w+ -?\d+$")
    kept = [line for line in lines if line and (line[0] != "#" or whole_number.match(line))]
    return "\n".join(kept) + "\n"


def _write_declarations() -> None:
    if not HEADER.is_file():
        raise SystemExit(f"{HEADER}: not found; build from a checkout of the whole project")
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", f"--manifest-path={CRATE}"]
    metadata = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    target = Path(json.loads(metadata)["target_directory"])
    target.mkdir(parents=True, exist_ok=True)
    # Renamed into place: another build may be reading it.
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
    raise SystemExit("no source distribution is made: install from a checkout, or make a wheel")
