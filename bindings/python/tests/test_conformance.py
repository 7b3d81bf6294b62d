"""Every case of tests/conformance, and the dump that is compared bit for bit with Rust's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import pytest
from conftest import CONFORMANCE, ROOT

import unifyweaver_projection as up
from unifyweaver_projection.errors import BY_CODE

TOLERANCE = 1e-5


def lines(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8")
    return [line.split(" ") for line in text.splitlines() if line and line[0] != "#"]


@dataclass(frozen=True)
class Case:
    folder: Path
    kind: str
    source: str
    path: Path
    id: int
    temperature: Optional[float]
    d: int
    d_out: int
    heads: int
    queries: int
    answers: int
    k: int
    searches: str
    model_name: str

    def load(self) -> up.Model:
        if self.source == "db":
            return up.Model.open(self.path, self.id)
        return up.Model.load(self.path, self.id, self.temperature)

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / name)


def cases() -> dict[str, Case]:
    found = {}
    for name, source, path, id, t, *sizes, searches, model in lines(CONFORMANCE / "cases.txt"):
        found[name] = Case(CONFORMANCE / "cases" / name, "multi_head", source, CONFORMANCE / path,
                           int(id), float(t), *map(int, sizes), searches, model)
    for name, kind, path, id, t, *sizes, searches in lines(CONFORMANCE / "kinds.txt"):
        temperature = None if t == "-" else float(t)
        found[name] = Case(CONFORMANCE / "kinds" / name, kind, "dir", CONFORMANCE / path,
                           int(id), temperature, *map(int, sizes), searches, "-")
    return found


CASES = cases()
BAD = lines(CONFORMANCE / "bad.txt")


def test_all_lists_are_read() -> None:
    assert len(CASES) >= 70
    assert len(BAD) >= 60


def near(found: np.ndarray, expected: np.ndarray) -> None:
    """Within the tolerance, relative to the largest component of each row."""
    assert found.dtype == np.float32 and found.shape == expected.shape
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    assert (np.abs(found - expected) <= TOLERANCE * scale).all()


@pytest.mark.parametrize("name", CASES)
def test_projections(name: str) -> None:
    case = CASES[name]
    with case.load() as model:
        assert (model.kind, model.input_dim, model.output_dim) == (case.kind, case.d, case.d_out)
        if case.temperature is not None:
            assert model.temperature == case.temperature
        ids = [int(line[0]) for line in lines(case.folder / "head_ids.txt")]
        assert model.head_ids.tolist() == ids and model.num_heads == len(ids) == case.heads

        queries, expected = case.array("queries.npy"), case.array("projected.npy")
        assert len(queries) == case.queries
        expected_weights = case.array("weights.npy") if case.heads else np.empty((len(queries), 0))
        batch, batch_weights = model.project(queries, return_weights=True)
        near(batch, expected)
        assert np.abs(batch_weights - expected_weights).max(initial=0) <= TOLERANCE
        for row, query in enumerate(queries):
            projected, weights = model.project(query, True)
            near(projected, expected[row])
            assert np.abs(weights - expected_weights[row]).max(initial=0) <= TOLERANCE
            # All calls return the same bits.
            assert np.array_equal(model.project(query), projected)
            assert np.array_equal(model.project(query.astype(np.float64)), projected)
            assert np.array_equal(model.project(query.tolist()), projected)
            out = np.empty(case.d_out, np.float32)
            assert model.project(query, out=out) is out
            assert np.array_equal(out, projected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.searches != "none"])
def test_searches(name: str) -> None:
    case = CASES[name]
    queries = case.array("queries.npy")
    ids = [int(line[0]) for line in lines(case.folder / "answer_ids.txt")]
    searchers = {"vectors": up.Searcher.from_vectors(ids, case.array("answers.npy"))}
    if case.source == "db":
        searchers["store"] = up.Searcher.open(case.path, case.model_name)
    with case.load() as model:
        for source, searcher in searchers.items():
            assert (len(searcher), searcher.dim) == (case.answers, case.d_out)
            for kind in ["projected", "plain"] if case.searches == "both" else ["projected"]:
                used = model if kind == "projected" else None
                expected_ids = [[*map(int, line)] for line in lines(case.folder / f"{kind}_ids.txt")]
                expected_scores = case.array(f"{kind}_scores.npy")
                batch = searcher.search_batch(queries, case.k, model=used)
                single = [searcher.search(query, case.k, model=used) for query in queries]
                for found in (batch, single):
                    assert [[hit.answer_id for hit in hits] for hits in found] == expected_ids
                    scores = np.array([[hit.score for hit in hits] for hits in found])
                    assert np.abs(scores - expected_scores).max() <= TOLERANCE
                for hit in single[0]:
                    assert (hit.text is not None) == (source == "store")
                    assert hit.text == searcher.text(hit.answer_id)


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[1])
def test_refused(line: list[str]) -> None:
    kind, path, id, status, _, *words = line
    with pytest.raises(up.ProjectionError) as caught:
        if kind == "array":
            up.load_array(CONFORMANCE / path)
        else:
            assert kind == "model"
            up.Model.load(CONFORMANCE / path, int(id), 0.1)
    assert type(caught.value) is BY_CODE[int(status)]
    for word in words:
        assert word in str(caught.value)


def test_dump() -> None:
    """Writes the results bit for bit to target/tests/python_dump.txt, which `make test-python`
    compares with Rust's. tests/c/README.md describes the file."""

    def bits(values: np.ndarray) -> str:
        return "".join(f"{value:08x}" for value in values.view(np.uint32))

    path = ROOT / "target" / "tests" / "python_dump.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, case in CASES.items():
        with case.load() as model:
            for row, query in enumerate(case.array("queries.npy").astype(np.float32)):
                projected, weights = model.project(query, True)
                rows.append(f"{name}\t{row}\t{bits(projected)}\t{bits(weights)}\n")
    path.write_text("".join(rows), encoding="ascii")
    assert len(rows) >= 500
