"""Searching among some answers, adding and removing answers, and lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unifyweaver_projection as up

COUNT, DIM = 5000, 6
VECTORS = np.sin(np.arange(COUNT)[:, None] * 2.59 + np.arange(DIM) * 4.81).astype(np.float32)
QUERY = np.arange(1, DIM + 1, dtype=np.float32)


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
            # So few answers stay in one list, and are found as before.
            assert searcher.make_lists(QUERY[None]) == up.Lists(1.0, 1.0, 1)
        searcher.drop_lists()


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
        assert searcher.remove([71, 5, 5, 900]) == 2
        assert len(searcher) == 40 and searcher.text(71) is None
        ids = {hit.answer_id for hit in searcher.search(VECTORS[71], 100)}
        assert ids == (set(range(40)) | {70}) - {5}
