"""Restricted searches, adding and removing answers, and approximate indexes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unifyweaver_projection as up

COUNT, DIM = 5000, 6
VECTORS = np.sin(np.arange(COUNT)[:, None] * 2.59 + np.arange(DIM) * 4.81).astype(np.float32)
QUERY = np.arange(1, DIM + 1, dtype=np.float32)
EXACT = up.IndexStats(1.0, 1.0, 1)


@pytest.mark.parametrize("allowed", [[], [4, 4, 4999, 70_000], range(100, 3000), None])
def test_only_allowed_answers_are_found(allowed: Any) -> None:
    with up.Searcher.from_vectors(np.arange(COUNT), VECTORS) as searcher:
        everything = searcher.search(QUERY, COUNT)
        expected = [hit for hit in everything if allowed is None or hit.answer_id in set(allowed)]
        for _ in range(2):
            found = searcher.search(QUERY, 10, allowed=allowed)
            assert found == expected[:10]
            both = searcher.search_batch([QUERY, QUERY], 10, allowed=allowed)
            assert both == [found, found]
            # There are too few answers for an index: search stays exact.
            assert searcher.build_index(QUERY[None]) == EXACT
        searcher.drop_index()


def test_allowed_ids_that_are_refused() -> None:
    with up.Searcher.from_vectors([1], VECTORS[:1]) as searcher:
        with pytest.raises(up.ArgumentTypeError, match="allowed has the dtype float64"):
            searcher.search(QUERY, allowed=[1.5])
        with pytest.raises(up.BufferSizeError, match="allowed has the shape"):
            searcher.search(QUERY, allowed=[[1]])


def test_answers_come_and_go() -> None:
    with up.Searcher.from_vectors(np.arange(30), VECTORS[:30]) as searcher:
        searcher.add([70, 71], VECTORS[70:72], ["seventy", "seventy-one"])
        searcher.add(range(30, 40), VECTORS[30:40])
        assert len(searcher) == 42
        found = searcher.search(VECTORS[71], 1)[0]
        assert (found.answer_id, found.text) == (71, "seventy-one")
        with pytest.raises(up.InvalidArgumentError, match="two vectors with the id 3"):
            searcher.add([900, 3], VECTORS[:2])
        with pytest.raises(up.BufferSizeError, match="texts has 1 entries"):
            searcher.add([900, 901], VECTORS[:2], ["one"])
        with pytest.raises(up.DimensionMismatchError):
            searcher.add([900], [[1.0, 2.0]])
        searcher.replace([71, 80], VECTORS[[72, 71]], ["seventy-two", "eighty"])
        found = searcher.search(VECTORS[71], 1)[0]
        assert (found.answer_id, found.text, len(searcher)) == (80, "eighty", 43)
        assert searcher.text(71) == "seventy-two" and searcher.explain(VECTORS[72], 1).hits[0].text
        searcher.replace([71], VECTORS[71:72])
        assert searcher.text(71) is None and searcher.remove([80]) == 1
        with pytest.raises(up.InvalidArgumentError, match="two vectors with the id 3"):
            searcher.replace([3, 3], VECTORS[:2])
        assert searcher.remove([71, 5, 5, 900]) == 2
        assert len(searcher) == 40 and searcher.text(71) is None
        ids = {hit.answer_id for hit in searcher.search(VECTORS[71], 100)}
        assert ids == (set(range(40)) | {70}) - {5}


def model_file(path: Path, rows: np.ndarray, top_k: int) -> None:
    """Writes a multi-head model whose heads have `rows` as centroids and answers."""
    units = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    tensors = {
        "centroids": units.astype(np.float32),
        "answers": rows,
        "head_ids": np.arange(len(rows)),
    }
    names = {"float32": "F32", "int64": "I64"}
    parameters = {"kind": "multi_head", "temperature": 0.1, "top_k": top_k}
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "projection",
            "format_version": "1",
            "kind": "multi_head",
            "parameters": json.dumps(parameters),
        }
    }
    end = 0
    for name, values in tensors.items():
        offsets = [end, end + values.nbytes]
        header[name] = {"dtype": names[str(values.dtype)], "shape": values.shape, "data_offsets": offsets}
        end = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    data = b"".join(values.tobytes() for values in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_index_of_many_heads(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(120, 12))
    rows = (points[np.arange(16_500) % 120] + 0.3 * rng.normal(size=(16_500, 12))).astype(np.float32)
    model_file(tmp_path / "heads.safetensors", rows, 10)
    queries = rows[::400] + np.float32(0.05)
    with up.Model.load_file(tmp_path / "heads.safetensors") as plain:
        assert plain.index_stats == EXACT
        with plain.with_approximate_index(threads=2) as model:
            stats = model.index_stats
            assert stats.lists > 100 and stats.recall >= 0.99 and stats.read < 0.25
            _, expected = plain.project(queries, return_weights=True)
            found, weights = model.project(queries, return_weights=True)
            assert np.mean((weights > 0) & (expected > 0)) > 0.98 * np.mean(expected > 0)
            model.save_file(tmp_path / "indexed.safetensors")
        with up.Model.load_file(tmp_path / "indexed.safetensors") as again:
            assert again.index_stats == stats
            assert np.array_equal(again.project(queries), found)
        with pytest.raises(up.InvalidArgumentError):
            plain.with_approximate_index(threads=-1)
    with pytest.raises(up.ClosedError):
        plain.index_stats


def test_stored_index(own_store: Path) -> None:
    # The projection is too small for an index.
    assert up.build_index(own_store, 1, threads=2) == EXACT
    assert up.index_stats(own_store, 1) == EXACT
    (file,) = own_store.parent.glob("embeddings/*/mh_1_model.json")
    file = file.with_name("mh_1_index.safetensors")
    assert not file.exists()
    with up.Model.open(own_store, 1) as model:
        expected = model.project(np.ones(model.input_dim))
        file.write_bytes(b"no index")
        with pytest.raises(up.InvalidModelError, match="mh_1_index.safetensors"):
            up.index_stats(own_store, 1)
        with up.Model.open(own_store, 1) as again:
            assert np.array_equal(again.project(np.ones(model.input_dim)), expected)
    assert up.build_index(own_store, 1) == EXACT
    assert not file.exists()
    with pytest.raises(up.NotFoundError):
        up.build_index(own_store, 9)
