"""The contents of the wheel. PROJECTION_WHEEL is its path, see scripts/test_python.sh."""

from __future__ import annotations

import os
import re
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from conftest import ROOT

import unifyweaver_projection as up
from unifyweaver_projection import _native


def test_the_installed_package_is_tested_not_its_source() -> None:
    folder = Path(up.__file__).resolve()
    assert ROOT / "bindings" not in folder.parents
    assert version("unifyweaver-projection") == up.__version__


def test_contents() -> None:
    path = os.environ.get("PROJECTION_WHEEL")
    if path is None:
        pytest.fail("PROJECTION_WHEEL is not set: run these tests by `make test-python`")
    assert re.search(r"-py3-none-\w+\.whl$", path)
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
    package = "unifyweaver_projection"
    sources = {file.name for file in (ROOT / "bindings/python/src" / package).glob("*.py")}
    assert {f"{package}/{name}" for name in sources | {"py.typed"}} <= names
    libraries = [name for name in names if re.search(r"\.(so|dylib|dll)$", name)]
    assert len(libraries) == 1 and libraries[0].startswith(f"{package}/_native/")
    allowed = (package, "lda_database", "projection_transformer", "unifyweaver_projection-")
    assert all(name.startswith(allowed) for name in names)
    assert not [name for name in names if "test" in name or "__pycache__" in name]
    assert "Requires-Python: >=3.9" in metadata


def test_requirements_are_few() -> None:
    needed = {r.split(">")[0].split(";")[0].strip() for r in requires("unifyweaver-projection") or []
              if "extra ==" not in r}
    assert needed == {"cffi", "numpy", "tqdm"}


def test_every_function_of_the_header_is_declared() -> None:
    header = (ROOT / "include/projection.h").read_text(encoding="utf-8")
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    names = set(re.findall(r"\b(projection_\w+)\([^)]*\)\s*;", header))
    assert len(names) > 55
    for name in names:
        assert getattr(_native.lib, name)


def test_the_library_comes_without_what_only_debuggers_read() -> None:
    """With debug information it would have about 60 MB."""
    (library,) = (p for p in Path(_native.__file__).parent.iterdir() if p.stem.startswith("lib"))
    assert library.stat().st_size < 20_000_000
