"""Threads, forks, memory and garbage."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import CONFORMANCE, EMBEDDING_MODEL, FAQ_TEST

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


TEXT = "How do I read a CSV FILE?"


def test_another_process_computes_the_same_with_pickled_objects(
    model_folder: Path, trained: Path
) -> None:
    heads = up.Model.load(model_folder, 1, 0.1)
    models = [heads, heads.with_temperature(0.7), heads.with_precision("int8")]
    models += [up.MultiHeadProjection.load_unified(model_folder, 1, 0.1), up.Model.open(trained, 1)]
    searcher, embedder = up.Searcher.open(trained), up.Embedder.load(EMBEDDING_MODEL)
    vector = embedder.embed(TEXT)
    search = {"model": models[-1], "text": TEXT, "hybrid": True, "score_mode": "seen_unseen"}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for model in models:
            vectors = queries(8, model.input_dim)
            expected = [model.project(query, True) for query in vectors]
            for found in zip(pool.starmap(model.project, [(q, True) for q in vectors]), expected):
                assert all(np.array_equal(*parts) for parts in zip(*found))
        assert np.array_equal(pool.apply(embedder.embed, (TEXT,)), vector)
        assert pool.apply(searcher.search, (vector, 5), search) == searcher.search(vector, 5, **search)
    for thing in (*models, searcher, embedder):
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing) and repr(again) == repr(thing)


def test_joblib_and_scikit_learn_take_them(model_folder: Path) -> None:
    joblib = pytest.importorskip("joblib")
    sklearn = pytest.importorskip("sklearn.base")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    model, vectors = up.Model.load(model_folder, 1, 0.1), queries(6)
    expected = model.project(vectors)
    jobs = (joblib.delayed(model.project)(vectors) for _ in range(3))
    for found in joblib.Parallel(n_jobs=2, backend="loky")(jobs):
        assert np.array_equal(found, expected)
    copy = sklearn.clone(preprocessing.FunctionTransformer(model.project))
    # Each is closed on its own.
    model.close()
    assert np.array_equal(copy.fit_transform(vectors), expected)


def test_what_has_changed_since_it_was_pickled_is_refused(own_store: Path, tmp_path: Path) -> None:
    searcher = up.Searcher.open(own_store)
    pickled, vector = pickle.dumps(searcher), np.ones((1, 384))
    # A new model changes no answers.
    up.train(own_store, "multi-head", force=True, progress=False)
    copied = copy.deepcopy(searcher)
    copied.add([999], vector)
    assert len(copied) == len(searcher) + 1
    with pytest.raises(TypeError, match="before add, remove or build_index change it"):
        pickle.dumps(copied)
    folder = own_store.parent / "embeddings" / EMBEDDING_MODEL.name
    file = next(folder.glob("answer_3_*.npy"))
    kept = np.load(file)
    np.save(file, kept[::-1].copy())
    with pytest.raises(up.InvalidStoreError, match="the answers have changed"):
        pickle.loads(pickled)
    np.save(file, kept)
    assert len(pickle.loads(pickled)) == len(searcher)
    up.import_files(own_store, FAQ_TEST)
    assert len(pickle.loads(pickled)) == len(searcher)  # They have no vectors yet.

    folder = tmp_path / "model"
    shutil.copytree(EMBEDDING_MODEL, folder)
    pickled = pickle.dumps(up.Embedder.load(folder))
    settings = folder / "sentence_bert_config.json"
    settings.write_text(settings.read_text().replace('"max_seq_length": 256', '"max_seq_length": 64'))
    with pytest.raises(up.InvalidEmbedderError, match="computes other vectors"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    with pytest.raises(up.NotFoundError, match="model"):
        pickle.loads(pickled)


def embedding(_: Path) -> Callable[[], object]:
    return partial(up.Embedder.load(EMBEDDING_MODEL).embed_batch, [TEXT * 40] * 50_000)


def distilling(store: Path) -> Callable[[], object]:
    teacher = up.Model.open(store, 1)
    return partial(up.distill_model, teacher, queries(40, 384), epochs=10_000, progress=False)


def searching(_: Path) -> Callable[[], object]:
    vectors = queries(20_000, 64)
    return partial(up.Searcher.from_vectors(range(20_000), vectors).search_batch, np.tile(vectors, (50, 1)))


@pytest.mark.parametrize("long", [embedding, distilling, searching])
def test_ctrl_c_ends_calls_that_would_take_minutes(long: Any, trained: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    sent = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    call, timer = long(trained), threading.Timer(0.3, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
    finally:
        signal.signal(signal.SIGINT, handler)
    # Within a second; machines under test may be busy.
    assert time.monotonic() - sent[0] < 20


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
