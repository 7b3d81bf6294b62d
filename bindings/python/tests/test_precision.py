"""Models whose vectors are stored in less memory, and threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import CONFORMANCE

import unifyweaver_projection as up

FOLDER = CONFORMANCE / "models" / "d8_mixed"


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    dots = np.einsum("ij,ij->i", a.astype(float), b.astype(float))
    return dots / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_models(precision: str, tmp_path: Path) -> None:
    exact = up.Model.load(FOLDER, 1, 0.1)
    assert exact.precision == "f32" and "f32" not in repr(exact)
    queries = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    expected = exact.project(queries)
    rounded = exact.with_precision(precision)
    found, weights = rounded.project(queries, return_weights=True)
    assert rounded.precision == precision and precision in repr(rounded)
    assert not np.array_equal(found, expected)
    assert cosines(found, expected).min() > 0.995
    path = tmp_path / "m.safetensors"
    rounded.save_file(path)
    for other in (
        up.Model.load_file(path),
        up.Model.load_file(path, precision=precision),
        up.Model.from_bytes(path.read_bytes(), precision=precision),
        up.Model.load(FOLDER, 1, 0.1, precision=precision),
    ):
        assert other.precision == precision
        again = other.project(queries, return_weights=True)
        assert np.array_equal(again[0], found) and np.array_equal(again[1], weights)
    # A rounded model can't be converted to another precision.
    for wrong in ("f32", {"bf16": "int8", "int8": "bf16"}[precision]):
        with pytest.raises(up.InvalidArgumentError, match=precision):
            rounded.with_precision(wrong)
        with pytest.raises(up.InvalidArgumentError, match=precision):
            up.Model.load_file(path, precision=wrong)


def test_precisions_that_are_refused() -> None:
    linear = up.Model.load(CONFORMANCE / "models" / "linear_d8_to_d3", 1, 0.1)
    assert linear.with_precision("f32").precision == "f32"
    with pytest.raises(up.InvalidArgumentError, match="only multi_head"):
        linear.with_precision("bf16")
    for wrong in ("int4", "BF16", "", None, 2):
        with pytest.raises(up.InvalidArgumentError, match="expected one of f32, bf16, int8"):
            linear.with_precision(wrong)  # type: ignore[arg-type]


def test_threads() -> None:
    random = np.random.default_rng(1)
    model = up.Model.load(FOLDER, 1, 0.1)
    queries = random.normal(size=(37, 8)).astype(np.float32)
    expected = model.project(queries, return_weights=True)
    for threads in (0, 1, 2, 99):
        found = model.project(queries, return_weights=True, threads=threads)
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, expected))
    vectors = random.normal(size=(5000, 8)).astype(np.float32)
    searcher = up.Searcher.from_vectors(np.arange(5000) * 3, vectors)
    hits = searcher.search_batch(queries, 7)
    for threads in (2, 3, 50):
        assert searcher.search_batch(queries, 7, threads=threads) == hits
        assert searcher.search(queries[4], 7, threads=threads) == hits[4]
    for call in (model.project, searcher.search_batch):
        with pytest.raises(up.InvalidArgumentError, match="threads"):
            call(queries, threads=-1)  # type: ignore[operator]
        with pytest.raises(up.ArgumentTypeError, match="threads"):
            call(queries, threads=1.5)  # type: ignore[operator]
