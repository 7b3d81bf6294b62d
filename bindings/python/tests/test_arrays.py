"""Inputs that `project` accepts and refuses, and its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unifyweaver_projection as up


@pytest.fixture
def model(model_folder: Path) -> Iterator[up.Model]:
    with up.Model.load(model_folder, 1, 0.1) as model:
        yield model


QUERY = np.arange(1, 9, dtype=np.float32)


class Subclass(np.ndarray):
    pass


def readonly(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype)
    view[:] = array
    assert not view.flags.aligned
    return view


@pytest.mark.parametrize(
    "query",
    [
        QUERY.astype(np.float64),
        QUERY.astype(np.float16),
        QUERY.astype(np.longdouble),
        QUERY.astype(np.int64),
        QUERY.astype(np.uint8),
        QUERY.astype(">f4"),
        QUERY.astype(">f8"),
        QUERY.tolist(),
        tuple(QUERY.tolist()),
        readonly(QUERY),
        unaligned(QUERY),
        QUERY.view(Subclass),
        np.repeat(QUERY, 2)[::2],
        QUERY[::-1].copy()[::-1],
        np.ma.masked_array(QUERY),
        memoryview(QUERY),
    ],
    ids=lambda query: f"{type(query).__name__}-{getattr(query, 'dtype', '')}",
)
def test_queries_of_every_sort_are_the_same(model: up.Model, query: Any) -> None:
    expected, expected_weights = model.project(QUERY, True)
    projected, weights = model.project(query, True)
    assert np.array_equal(projected, expected) and np.array_equal(weights, expected_weights)
    assert type(projected) is np.ndarray and projected.dtype == np.float32


class SparkVector:
    def toArray(self) -> Any:
        return QUERY


def of_objects(rows: Any) -> np.ndarray:
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def column(library: str, make: str) -> Any:
    """A column of rows in a library of data frames."""
    names = {"lib": pytest.importorskip(library), "rows": [QUERY, -QUERY]}
    return eval(make, names)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [QUERY, -QUERY],
        lambda: of_objects([QUERY, -QUERY]),
        lambda: of_objects([QUERY.tolist(), (-QUERY).astype(np.float64)]),
        lambda: [QUERY.astype(np.float64), (-QUERY).tolist()],
        lambda: column("pandas", "lib.Series(rows)"),
        lambda: column("pandas", "lib.DataFrame(rows)"),
        lambda: column("pyarrow", "lib.array(rows)"),
        lambda: column("pyarrow", "lib.chunked_array([rows[:1], rows[1:]])"),
        lambda: column("pyarrow", "lib.array(rows, lib.list_(lib.float32(), 8))"),
        lambda: column("polars", "lib.Series(rows)"),
        lambda: column("polars", "lib.Series(rows, dtype=lib.List(lib.Float32))"),
        lambda: column("polars", "lib.DataFrame(rows, orient='row')"),
    ],
)
def test_rows_may_be_arrays_of_their_own(model: up.Model, make: Any) -> None:
    expected = model.project(np.stack([QUERY, -QUERY]))
    assert np.array_equal(model.project(make()), expected)


def test_rows_may_be_vectors_of_spark(model: up.Model) -> None:
    vectors: Any = of_objects([SparkVector()] * 2)
    assert np.array_equal(model.project(vectors), model.project(np.stack([QUERY] * 2)))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_of_every_layout_are_the_same(model: up.Model, order: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(40, 8)).astype(np.float32)
    expected, expected_weights = model.project(queries, True)
    for batch in (
        queries.astype(dtype, order=order),
        np.repeat(queries, 3, axis=0).astype(dtype)[::3],
        np.repeat(queries, 2, axis=1).astype(dtype)[:, ::2],
        queries.T.copy().astype(dtype).T,
    ):
        projected, weights = model.project(batch, return_weights=True)
        assert np.array_equal(projected, expected) and np.array_equal(weights, expected_weights)
    single = np.stack([model.project(query) for query in queries])
    assert np.abs(single - expected).max() <= 1e-5 * np.abs(expected).max()


def test_an_empty_batch(model: up.Model) -> None:
    projected, weights = model.project(np.empty((0, 8)), True)
    assert projected.shape == (0, 8) and weights.shape == (0, 4)


def with_value(value: float) -> np.ndarray:
    query = QUERY.copy()
    query[3] = value
    return query


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (np.array(["a"] * 8), up.ArgumentTypeError, "dtype <U1"),
        (np.array([None] * 8), up.ArgumentTypeError, "dtype object"),
        (QUERY.astype(object), up.ArgumentTypeError, "call numpy.asarray(query, numpy.float32)"),
        (QUERY.astype(object)[None], up.ArgumentTypeError, "call numpy.asarray(query, numpy.float32)"),
        ([QUERY, "text"], up.ArgumentTypeError, "query[1] is 'text', expected a row of numbers"),
        ([QUERY, None], up.ArgumentTypeError, "query[1] is None, expected a row of numbers"),
        (QUERY.astype(complex), up.ArgumentTypeError, "dtype complex128"),
        (QUERY > 3, up.ArgumentTypeError, "dtype bool"),
        (QUERY.astype("m8[s]"), up.ArgumentTypeError, "dtype timedelta64"),
        (np.zeros(8, [("a", "f4")]), up.ArgumentTypeError, "dtype ["),
        (None, up.ArgumentTypeError, "dtype object"),
        ("query", up.ArgumentTypeError, "dtype <U5"),
        (b"12345678", up.ArgumentTypeError, "dtype |S8"),
        ({1.0: 2.0}, up.ArgumentTypeError, "dtype object"),
        ([[1.0], [1.0, 2.0]], up.DimensionMismatchError, "query[1] has 2 values, expected 1"),
        (np.ma.masked_less(QUERY, 3), up.InvalidArgumentError, "masked"),
        (np.float32(1.0), up.DimensionMismatchError, "0 dimensions"),
        (np.zeros((2, 2, 8)), up.DimensionMismatchError, "3 dimensions"),
        (QUERY[:7], up.DimensionMismatchError, "dimension 7, expected 8"),
        (np.zeros(0), up.DimensionMismatchError, "dimension 0, expected 8"),
        (np.ones((3, 9)), up.DimensionMismatchError, "dimension 9, expected 8"),
        (np.ones((3, 0)), up.DimensionMismatchError, "dimension 0, expected 8"),
        (np.broadcast_to(np.float32(1), 10**12), up.DimensionMismatchError, "expected 8"),
        (with_value(np.nan), up.NotFiniteError, "NaN"),
        (with_value(np.inf), up.NotFiniteError, "inf"),
        (QUERY.astype(np.float64) * 1e300, up.NotFiniteError, "inf"),
        (np.zeros(8), up.ZeroVectorError, "zero"),
        (np.stack([QUERY, QUERY * 0]), up.ZeroVectorError, "zero"),
    ],
)
def test_queries_that_are_refused(model: up.Model, query: Any, error: Any, words: str) -> None:
    with pytest.raises(error) as caught:
        model.project(query)
    assert type(caught.value) is error and isinstance(caught.value, ValueError)
    assert words.lower() in str(caught.value).lower()
    # The model still works.
    assert np.isfinite(model.project(QUERY)).all()


def test_more_than_memory_can_hold(model: up.Model) -> None:
    with pytest.raises(MemoryError):
        model.project(np.broadcast_to(QUERY, (10**12, 8)))


def test_outputs_are_written_and_given_back(model: up.Model) -> None:
    out, weights_out = np.empty(8, np.float32), np.empty(4, np.float32)
    projected, weights = model.project(QUERY, True, out=out, weights_out=weights_out)
    assert projected is out and weights is weights_out
    assert np.array_equal(out, model.project(QUERY)) and abs(weights.sum() - 1) < 1e-6
    # Rows of a larger array can be outputs.
    batch = np.zeros((3, 8), np.float32)
    assert model.project(QUERY, out=batch[1]).base is batch
    assert np.array_equal(batch[1], out) and not batch[[0, 2]].any()
    assert model.project(np.stack([QUERY] * 3), out=batch) is batch


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (np.empty(7, np.float32), up.BufferSizeError, "(7,), expected (8,)"),
        (np.empty((1, 8), np.float32), up.BufferSizeError, "(1, 8), expected (8,)"),
        (np.empty(8), up.ArgumentTypeError, "float64"),
        (np.empty(8, ">f4"), up.ArgumentTypeError, ">f4"),
        (np.empty(16, np.float32)[::2], up.InvalidArgumentError, "contiguous"),
        (unaligned(QUERY), up.InvalidArgumentError, "aligned"),
        (readonly(QUERY), up.InvalidArgumentError, "read-only"),
        (np.ma.masked_array(QUERY), up.ArgumentTypeError, "masked"),
        ([0.0] * 8, up.ArgumentTypeError, "list"),
    ],
)
def test_outputs_that_are_refused(model: up.Model, out: Any, error: Any, words: str) -> None:
    with pytest.raises(error) as caught:
        model.project(QUERY, out=out)
    assert type(caught.value) is error and words in str(caught.value)


def test_outputs_stay_as_they_are_on_failure(model: up.Model) -> None:
    out, weights_out = np.full(8, 7, np.float32), np.full(4, 7, np.float32)
    with pytest.raises(up.NotFiniteError):
        model.project(with_value(np.nan), True, out=out, weights_out=weights_out)
    assert (out == 7).all() and (weights_out == 7).all()
    with pytest.raises(up.InvalidArgumentError, match="overlaps"):
        model.project(out, out=out)
    with pytest.raises(up.InvalidArgumentError, match="without return_weights"):
        model.project(QUERY, weights_out=weights_out)


def test_results_are_independent_of_each_other(model: up.Model) -> None:
    first = model.project(QUERY)
    kept = first.copy()
    model.project(-QUERY)
    assert np.array_equal(first, kept) and first.flags.owndata and first.flags.writeable


def test_vectors_of_a_searcher() -> None:
    vectors = np.eye(3)
    searcher = up.Searcher.from_vectors([5, 7, 9], vectors)
    vectors[:] = 0
    assert [hit.answer_id for hit in searcher.search([0, 1, 0.5], 2)] == [7, 9]
    assert searcher.search([1, 0, 0], 0) == [] and len(searcher.search([1, 0, 0], 10**18)) == 3
    assert searcher.search_batch(np.empty((0, 3)), 2) == []
    for ids, error in (
        ([1, 2], up.BufferSizeError),
        ([1.0, 2.0, 3.0], up.ArgumentTypeError),
        (np.array([1, 2, 3], np.uint64), up.ArgumentTypeError),
        ([1, 2, 2], up.InvalidArgumentError),
        ([1, [2], 3], up.InvalidArgumentError),
    ):
        with pytest.raises(error):
            up.Searcher.from_vectors(ids, np.eye(3))
