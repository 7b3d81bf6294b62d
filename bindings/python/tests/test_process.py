"""Threads, forks, memory and garbage."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from conftest import CONFORMANCE, EMBEDDING_MODEL

import unifyweaver_projection as up


def queries(n: int, d: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def test_eight_threads_share_everything(model_folder: Path) -> None:
    model = up.Model.load(model_folder, 1, 0.1)
    searcher = up.Searcher.from_vectors(range(50), queries(50))
    embedder = up.Embedder.load(EMBEDDING_MODEL)
    vectors = queries(200)
    expected = [model.project(query, True) for query in vectors]
    batch = model.project(vectors)
    hits = searcher.search_batch(vectors, 5, model=model)
    vector = embedder.embed("threads")

    def work(thread: int) -> int:
        done = 0
        for round in range(20):
            for row in np.random.default_rng(thread * 100 + round).permutation(len(vectors))[:50]:
                projected, weights = model.project(vectors[row], True)
                assert np.array_equal(projected, expected[row][0])
                assert np.array_equal(weights, expected[row][1])
                done += 1
            assert np.array_equal(model.project(vectors), batch)
        assert searcher.search_batch(vectors, 5, model=model) == hits
        assert np.array_equal(embedder.embed("threads"), vector)
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 8 * 20 * 50


def test_closing_waits_for_calls_that_are_under_way(model_folder: Path) -> None:
    """Every call succeeds or raises ClosedError. Freeing memory in use would crash sooner or
    later."""
    vectors = queries(2000)
    for _ in range(30):
        model = up.Model.load(model_folder, 1, 0.1)
        expected = model.project(vectors)
        started = threading.Barrier(5)
        outcomes: list[bool] = []

        def work() -> None:
            started.wait()
            for _ in range(20):
                try:
                    assert np.array_equal(model.project(vectors), expected)
                    outcomes.append(True)
                except up.ClosedError:
                    outcomes.append(False)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
        model.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 80 and outcomes[-1] is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_goes_on_with_the_same_objects(model_folder: Path) -> None:
    model = up.Model.load(model_folder, 1, 0.1)
    searcher = up.Searcher.from_vectors(range(50), queries(50))
    embedder = up.Embedder.load(EMBEDDING_MODEL)
    vectors = queries(500)
    texts = [f"question {i}" for i in range(40)]
    expected = (model.project(vectors).tobytes(), searcher.search_batch(vectors, 3, model=model))
    # Embedding a large batch uses threads, which a fork does not copy.
    embedded = embedder.embed_batch(texts).tobytes()

    def child(results: multiprocessing.Queue) -> None:
        found = (model.project(vectors).tobytes(), searcher.search_batch(vectors, 3, model=model))
        results.put((found == expected, embedder.embed_batch(texts).tobytes() == embedded))

    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=child, args=(results,)) for _ in range(3)]
    for process in children:
        process.start()
    assert [results.get(timeout=60) for _ in children] == [(True, True)] * 3
    for process in children:
        process.join()
        assert process.exitcode == 0
    assert model.project(vectors).tobytes() == expected[0]


def resident() -> int:
    """Resident memory in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow(model_folder: Path) -> None:
    model = up.Model.load(model_folder, 1, 0.1)
    query, batch, out = queries(1)[0], queries(10).astype(np.float64), np.empty(8, np.float32)
    bad = np.full(8, np.nan, np.float32)
    searcher = up.Searcher.from_vectors(range(50), queries(50))

    def fail() -> None:
        with pytest.raises(up.NotFiniteError):
            model.project(bad)

    folder = CONFORMANCE / "models" / "d3_one"
    work: dict[Callable[[], object], int] = {
        lambda: model.project(query): 100_000,
        lambda: model.project(query, True, out=out): 100_000,
        lambda: model.project(batch, True): 100_000,
        lambda: searcher.search(query, 5, model=model): 20_000,
        lambda: searcher.explain(query, 5, model=model): 20_000,
        lambda: up.Model.load(folder, 1, 0.1): 20_000,
        lambda: up.Searcher.from_vectors([1], query[None]): 20_000,
        fail: 20_000,
    }
    for call, times in work.items():
        for _ in range(times // 10):
            call()
        gc.collect()
        before = resident()
        for _ in range(times):
            call()
        gc.collect()
        # A leak of 100 bytes per call would be 2 MB or more.
        assert resident() - before < 1 << 20


def test_unused_objects_are_freed_at_once(model_folder: Path) -> None:
    """By reference counting, not by the garbage collector."""
    import weakref

    gc.disable()
    try:
        native = weakref.ref(up.Model.load(model_folder, 1, 0.1)._object)
        assert native() is None
        model = up.Model.load(model_folder, 1, 0.1)
        native = weakref.ref(model._object)
        model.close()
        assert native() is None
    finally:
        gc.enable()
