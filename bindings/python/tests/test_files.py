"""One-file models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import CONFORMANCE

import unifyweaver_projection as up

MODELS = {"d8_mixed": 1, "residual_all": 3, "linear_d8_to_d3": 1}


@pytest.mark.parametrize("name", MODELS)
def test_a_file_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    model = up.Model.load(CONFORMANCE / "models" / name, MODELS[name], 0.1)
    path = tmp_path / "model.safetensors"
    model.save_file(path)
    queries = np.random.default_rng(0).normal(size=(20, 8))
    expected = model.project(queries, return_weights=True)
    for other in (
        up.Model.load_file(path),
        up.Model.from_bytes(path.read_bytes()),
        up.Model.from_bytes(memoryview(bytearray(path.read_bytes()))),
    ):
        assert (other.kind, other.temperature) == (model.kind, model.temperature)
        assert np.array_equal(other.head_ids, model.head_ids)
        found = other.project(queries, return_weights=True)
        assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
    # The file may be replaced or removed while the model is in use.
    mapped = up.Model.load_file(path)
    model.save_file(path)
    path.unlink()
    assert np.array_equal(mapped.project(queries), expected[0])


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        up.Model.load_file(path)
    up.Model.load(CONFORMANCE / "models" / "d8_mixed", 1, 0.1).save_file(path)
    whole = path.read_bytes()
    for bytes_ in (b"", whole[:7], whole[:100], whole[:-1], b"\xff" * 64, whole + b"\0"):
        path.write_bytes(bytes_)
        with pytest.raises(up.ProjectionError, match="model.safetensors"):
            up.Model.load_file(path)
        with pytest.raises(up.ProjectionError):
            up.Model.from_bytes(bytes_)
    for data in ("text", None, 7, memoryview(whole)[::2]):
        with pytest.raises(up.ArgumentTypeError, match="expected contiguous bytes"):
            up.Model.from_bytes(data)  # type: ignore[arg-type]
    with pytest.raises(up.ProjectionError):
        up.Model.load(CONFORMANCE / "models" / "d8_mixed", 1, 0.1).save_file(tmp_path / "no" / "m")
