"""Exceptions, arguments that are not arrays, and closed objects."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import CONFORMANCE, ROOT, EMBEDDING_MODEL

import unifyweaver_projection as up
from unifyweaver_projection import errors
from unifyweaver_projection._native import ffi, lib


def test_there_is_a_class_for_every_status_of_the_header() -> None:
    header = (ROOT / "include" / "projection.h").read_text(encoding="utf-8")
    statuses = dict(re.findall(r"PROJECTION_STATUS_(\w+) = (\d+)", header))
    assert set(errors.BY_CODE) == {int(n) for n in statuses.values()} - {0}
    for name, number in statuses.items():
        if number == "0":
            continue
        cls = errors.BY_CODE[int(number)]
        assert cls.__name__ == "".join(part.title() for part in name.split("_")) + "Error"
        assert issubclass(cls, up.ProjectionError) and getattr(up, cls.__name__) is cls
        assert ffi.string(lib.projection_status_name(int(number))).decode() == name.replace("_", " ").lower()


@pytest.mark.parametrize("cls", sorted(set(errors.BY_CODE.values()), key=lambda cls: cls.code))
def test_errors_keep_their_message(cls: Any) -> None:
    error = cls("lda.db: no such file")
    assert str(error) == "lda.db: no such file"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls and str(again) == str(error)


def test_errors_are_what_python_users_expect() -> None:
    with pytest.raises(FileNotFoundError, match="no/such/lda.db: No such file"):
        up.Model.open("no/such/lda.db", 1)
    with pytest.raises(OSError):
        up.Searcher.open("no/such/lda.db")
    with pytest.raises(up.NotFoundError, match="no/such"):
        up.Embedder.load("no/such/folder")
    with pytest.raises(up.InvalidStoreError):
        up.Model.open(Path(__file__), 1)
    assert issubclass(up.ArgumentTypeError, TypeError) and issubclass(up.PanicError, RuntimeError)


def load(**values: Any) -> Callable[[], object]:
    arguments = {"folder": CONFORMANCE / "models" / "d8_mixed", "id": 1, "temperature": 0.1}
    return lambda: up.Model.load(**{**arguments, **values})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (load(folder=7), up.ArgumentTypeError, "folder is of type int"),
        (load(folder=b"models"), up.ArgumentTypeError, "folder is of type bytes"),
        (load(folder="a\0b"), up.InvalidArgumentError, "NUL character at index 1"),
        (load(folder="a\ud800"), up.InvalidArgumentError, "surrogate at index 1"),
        (load(folder=""), up.InvalidArgumentError, "empty"),
        (load(id="1"), up.ArgumentTypeError, "id is of type str"),
        (load(id=1.0), up.ArgumentTypeError, "id is of type float"),
        (load(id=True), up.ArgumentTypeError, "id is of type bool"),
        (load(id=2**63), up.InvalidArgumentError, "id is 9223372036854775808"),
        (load(id=2), up.NotFoundError, "d8_mixed"),
        (load(temperature=0), up.InvalidArgumentError, "temperature"),
        (load(temperature=float("nan")), up.InvalidArgumentError, "temperature"),
        (load(temperature="warm"), up.ArgumentTypeError, "'warm', expected a number"),
        (load(temperature=None), up.InvalidArgumentError, "temperature"),
        (lambda: up.Model(), TypeError, "Model.open"),
        (lambda: up.Searcher(), TypeError, "Searcher.open"),
        (lambda: up.Embedder(), TypeError, "Embedder.load"),
        (
            lambda: up.Model.open(CONFORMANCE / "legacy_store/lda.db", 1, kind="cubic"),
            up.InvalidArgumentError,
            "'cubic', expected one of multi_head",
        ),
        (
            lambda: up.MultiHeadProjection.load_unified(CONFORMANCE / "models/linear_d8", 4, 0.1),
            up.InvalidModelError,
            "kind linear, expected multi_head",
        ),
    ],
)
def test_arguments_that_are_refused(call: Callable[[], object], error: Any, words: str) -> None:
    with pytest.raises(error, match=re.escape(words)) as caught:
        call()
    assert type(caught.value) is error


def test_numbers_of_numpy_are_numbers(model_folder: Path) -> None:
    assert up.Model.load(model_folder, np.int64(1), np.float32(0.5)).temperature == 0.5


def test_options_of_a_search_that_are_refused() -> None:
    searcher = up.Searcher.from_vectors([1, 2], np.eye(2))
    query = [1.0, 0.5]
    for options, error in (
        ({"k": -1}, up.InvalidArgumentError),
        ({"k": 1.5}, up.ArgumentTypeError),
        ({"model": "model"}, up.ArgumentTypeError),
        ({"text": b"text"}, up.ArgumentTypeError),
        ({"score_mode": "best"}, up.InvalidArgumentError),
        ({"score_mode": 1}, up.InvalidArgumentError),
        ({"hybrid": -1.0}, up.InvalidArgumentError),
        ({"hybrid": 1.5}, up.InvalidArgumentError),
        ({"hybrid": float("nan")}, up.InvalidArgumentError),
        ({"hybrid": True, "text": "no texts here"}, up.InvalidArgumentError),
        ({"unseen_offset": 0.1}, up.InvalidArgumentError),
    ):
        with pytest.raises(error):
            searcher.search(query, **options)
    with pytest.raises(up.BufferSizeError, match="texts has 1 entries, expected 2"):
        searcher.search_batch([query, query], 1, texts=["one"])
    with pytest.raises(up.ArgumentTypeError, match="sequence of texts"):
        searcher.search_batch([query, query], 1, texts="ab")


def closed_objects() -> list[Any]:
    model = up.Model.load(CONFORMANCE / "models" / "d8_mixed", 1, 0.1)
    searcher = up.Searcher.from_vectors([1], [[1.0] * 8])
    embedder = up.Embedder.load(EMBEDDING_MODEL)
    return [model, searcher, embedder]


def test_closed_objects_say_so() -> None:
    model, searcher, embedder = closed_objects()
    for thing in (model, searcher, embedder):
        assert not thing.closed and "closed" not in repr(thing)
        with thing as entered:
            assert entered is thing
        assert thing.closed and "closed" in repr(thing)
        thing.close()
        with pytest.raises(up.ClosedError, match=f"the {type(thing).__name__} is closed"):
            thing.__enter__()
    query = [1.0] * 8
    for call in (
        lambda: model.project(query),
        lambda: model.project(np.ones(8, np.float32)),
        lambda: model.explain(query),
        lambda: model.with_temperature(1.0),
        lambda: searcher.search(query),
        lambda: searcher.search_batch([query]),
        lambda: searcher.explain(query),
        lambda: searcher.text(1),
        lambda: embedder.embed("text"),
        lambda: embedder.embed_batch(["text"]),
    ):
        with pytest.raises(up.ClosedError):
            call()
    # Properties remain available.
    assert (model.input_dim, model.num_heads, len(searcher), embedder.dim) == (8, 4, 1, 384)
    with pytest.raises(up.ClosedError):
        up.Searcher.from_vectors([1], [query]).search(query, model=model)


def test_what_can_not_be_copied_or_pickled() -> None:
    things = closed_objects()
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="only a Searcher of a store can be pickled"):
            copied(up.Searcher.from_vectors([1], np.eye(1)))
        for thing in things:
            thing.close()
            with pytest.raises(up.ClosedError):
                copied(thing)


def test_a_copy_at_another_temperature_lives_on(model_folder: Path) -> None:
    model = up.MultiHeadProjection.load_unified(model_folder, 1, 0.1)
    other = model.with_temperature(1.0)
    model.close()
    assert type(other) is up.MultiHeadProjection and other.temperature == 1.0
    assert np.isfinite(other.project(np.ones(8))).all()


def test_texts_that_are_refused() -> None:
    embedder = up.Embedder.load(EMBEDDING_MODEL)
    for text in (None, 7, b"text", "a\0b", "\ud800"):
        with pytest.raises(up.InvalidArgumentError):
            embedder.embed(text)  # type: ignore[arg-type]
    with pytest.raises(up.InvalidArgumentError, match=re.escape("texts[1]")):
        embedder.embed_batch(["one", "two\0"])
    with pytest.raises(up.ArgumentTypeError, match="sequence of texts"):
        embedder.embed_batch("one")
    assert embedder.embed_batch([]).shape == (0, 384)
    pair = embedder.embed_batch(["naïve τ → 😀", ""])
    assert np.abs(pair[0] - embedder.embed("naïve τ → 😀")).max() < 1e-6


def test_a_panic_is_an_exception() -> None:
    """Uses the error of a normal failure, so that the library needs no injected panics."""
    error = ffi.new("projection_error **")
    assert lib.projection_model_load(b"no/such/folder", 1, 0.1, ffi.new("projection_model **"), error)
    from unifyweaver_projection._call import raise_failure

    with pytest.raises(up.PanicError, match="no/such/folder"):
        raise_failure(16, error[0])
    with pytest.raises(up.InternalError, match="unknown status"):
        raise_failure(99, ffi.NULL)


def test_the_import_needs_no_compiler_and_no_optional_package() -> None:
    """pandas, tqdm and the parser of C headers are imported only when needed."""
    code = (
        "import sys, unifyweaver_projection;"
        "print([m for m in ('pandas', 'tqdm', 'pycparser', 'cffi.cparser') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
