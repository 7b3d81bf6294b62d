"""The Python package beside C, NumPy and a search that loads its heads for each query.

usage: project.py [--quick]

All sides run in this process, in turns, after their answers were compared. C is a loop around
the same function of the same library (loop.c). The last peer does what existing code does for
each query: it reads the heads' files from disk and computes with NumPy. Medians are printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from threading import Barrier, Event
from typing import Callable

# Set before NumPy is imported: NumPy uses one thread, like the engine. The two variables that are
# removed would slow it down.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from cffi import FFI  # noqa: E402

import unifyweaver_projection as up  # noqa: E402
from unifyweaver_projection._native import ffi, lib  # noqa: E402

HEADS, DIM, TEMPERATURE, BATCH = 18, 384, 0.1, 10_000
QUICK = "--quick" in sys.argv
EMBEDDING_MODEL = Path(__file__).resolve().parents[3] / "models/all-MiniLM-L6-v2"


def build_loop(folder: Path):
    library = folder / "loop.so"
    source = Path(__file__).with_name("loop.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-std=c99", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    loop = FFI()
    loop.cdef(
        """double time_project(void *, void *, void *, size_t, void *, void *, size_t, size_t);
        double time_project_batch(void *, void *, void *, size_t, size_t, void *, size_t);"""
    )
    return loop, loop.dlopen(str(library))


def save_model(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for head in range(HEADS):
        for name in ("centroid", "answer"):
            vector = rng.normal(size=DIM).astype(np.float32)
            np.save(folder / f"mh_1_cluster_{head}_{name}.npy", vector / np.linalg.norm(vector))


def load_heads(folder: Path):
    heads = range(HEADS)
    centroids = np.stack([np.load(folder / f"mh_1_cluster_{n}_centroid.npy") for n in heads])
    answers = np.stack([np.load(folder / f"mh_1_cluster_{n}_answer.npy") for n in heads])
    return centroids, answers


def numpy_project(query, centroids, answers):
    similarities = centroids @ (query / np.linalg.norm(query))
    weights = np.exp((similarities - similarities.max()) / TEMPERATURE)
    weights /= weights.sum()
    return weights @ answers, weights


def timed(function: Callable[[], object], calls: int, clock=time.thread_time) -> float:
    """Seconds of `calls` calls."""
    start = clock()
    for _ in range(calls):
        function()
    return clock() - start


def in_turns(sides: dict[str, tuple[Callable[[int], float], int]], rounds: int) -> dict[str, float]:
    """Returns the median seconds per call of each side; every round times all sides."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (seconds, calls) in sides.items():
            found[name].append(seconds(calls) / calls)
    return {name: median(times) for name, times in found.items()}


def show(title: str, times: dict[str, float], reference: str) -> None:
    print(f"\n{title}")
    for name, seconds in times.items():
        ratio = seconds / times[reference]
        print(f"  {name:44} {1e6 * seconds:12.2f} µs   {ratio:9.3f} × {reference}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        model = up.MultiHeadProjection.load_unified(folder, 1, TEMPERATURE)
        loop, c = build_loop(folder)
        rng = np.random.default_rng(1)
        queries = rng.normal(size=(BATCH, DIM)).astype(np.float32)
        single(model, queries[0].copy(), folder, loop, c)
        batches(model, queries, loop, c)
        threads(model, queries)


def single(model, query, folder: Path, loop, c) -> None:
    centroids, answers = load_heads(folder)
    projected, weights = np.empty(DIM, np.float32), np.empty(HEADS, np.float32)

    def pointer(array):
        return loop.cast("void *", array.ctypes.data)

    function = loop.cast("void *", int(ffi.cast("uintptr_t", ffi.addressof(lib, "projection_model_project"))))
    handle = loop.cast("void *", int(ffi.cast("uintptr_t", model._object)))
    place = [pointer(query), DIM, pointer(projected)]

    def in_c(calls: int) -> float:
        return c.time_project(function, handle, *place, loop.NULL, 0, calls)

    def in_c_with_weights(calls: int) -> float:
        return c.time_project(function, handle, *place, pointer(weights), HEADS, calls)

    expected, expected_weights = numpy_project(query, centroids, answers)
    assert in_c_with_weights(1) > 0
    found, found_weights = model.project(query, return_weights=True)
    assert np.array_equal(found, projected) and np.array_equal(found_weights, weights)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(found_weights - expected_weights).max() <= 1e-5

    def from_disk():
        return numpy_project(query, *load_heads(folder))

    calls, rounds = (2_000, 15) if QUICK else (20_000, 51)
    times = in_turns(
        {
            "C": (in_c, calls),
            "C, with weights": (in_c_with_weights, calls),
            "Python": (lambda n: timed(lambda: model.project(query), n), calls),
            "Python, with weights": (lambda n: timed(lambda: model.project(query, True), n), calls),
            "an empty call of Python": (lambda n: timed(lambda: None, n), calls),
            "NumPy, matrices loaded before": (
                lambda n: timed(lambda: numpy_project(query, centroids, answers), n),
                calls // 10,
            ),
            "NumPy, heads read from disk for each query": (
                lambda n: timed(from_disk, n),
                max(calls // 1000, 1),
            ),
        },
        rounds,
    )
    show(f"one query, {HEADS} heads × {DIM}", times, "Python")
    # The loop's lambda is not a part of the call.
    empty = times["an empty call of Python"]
    for suffix in ("", ", with weights"):
        above = times[f"Python{suffix}"] - empty - times[f"C{suffix}"]
        print(f"  Python above C{suffix}: {1e6 * above:.2f} µs (goal: at most 1.2)")


def batches(model, queries, loop, c) -> None:
    projected = np.empty_like(queries)
    function = loop.cast("void *", int(ffi.cast("uintptr_t", ffi.addressof(lib, "projection_model_project_batch"))))
    handle = loop.cast("void *", int(ffi.cast("uintptr_t", model._object)))
    place = [loop.cast("void *", a.ctypes.data) for a in (queries, projected)]

    def in_c(calls: int) -> float:
        return c.time_project_batch(function, handle, place[0], BATCH, DIM, place[1], calls)

    # Both write to the same memory, because the pages of a buffer matter more than the language.
    assert in_c(1) > 0 and np.array_equal(model.project(queries), projected)
    assert model.project(queries, out=projected) is projected
    calls, rounds = (2, 9) if QUICK else (5, 101)
    times = in_turns(
        {
            "C": (in_c, calls),
            "Python, out=": (lambda n: timed(lambda: model.project(queries, out=projected), n), calls),
            "Python, a new array each time": (lambda n: timed(lambda: model.project(queries), n), calls),
        },
        rounds,
    )
    show(f"batch of {BATCH:,}", times, "C")


def threads(model, queries) -> None:
    """Measures threads that share a model, for several batch sizes. Python's global lock serialises
    the work in Python itself; calls of the library release it."""
    processors = os.cpu_count()
    print(f"\nthreads ({processors} processors), each calling in a loop of its own")
    for name, size in (("one query", 1), ("a batch of 64", 64), ("a batch of 1,000", 1_000)):
        # One part for each of at most 8 threads.
        parts = queries[: 8 * size].reshape(8, size, DIM)
        calls = [partial(model.project, part[0] if size == 1 else part) for part in parts]
        expected = [call() for call in calls]
        at_once(name, calls, size, expected, 200 // size + 1)
    if EMBEDDING_MODEL.is_dir():
        embedder = up.Embedder.load(EMBEDDING_MODEL)
        searcher = up.Searcher.from_vectors(range(1_000), queries[:1_000])

        def answer(text: str) -> list[up.Hit]:
            return searcher.search(embedder.embed(text), 5, model=model)

        texts = [f"How do I share a model among {n} threads?" for n in range(8)]
        calls = [partial(answer, text) for text in texts]
        at_once("a text: embed, project, search", calls, 1, [call() for call in calls], 1)


def at_once(name: str, calls, size: int, expected, between: int) -> None:
    """Prints the queries per second of 1, 2 and 8 threads together, `size` queries per call. Every
    thread checks its last result, and whether time is up after every `between` calls."""
    workers = (1, 2, 8)
    found: dict[int, list[float]] = {number: [] for number in workers}
    for _ in range(3 if QUICK else 15):
        for number in workers:
            found[number].append(size * rate(calls[:number], expected, between))
    rates = [median(found[number]) for number in workers]
    shown = ", ".join(
        f"{number} thread{'s' if number > 1 else ''} {of:,.0f} ({of / rates[0]:.2f} ×)"
        for number, of in zip(workers, rates)
    )
    print(f"  {name:32} queries/s: {shown}")


def rate(calls, expected, between: int) -> float:
    """Returns the calls per second of threads that each repeat one of `calls`."""
    ready, end = Barrier(len(calls) + 1), Event()

    def repeat(number: int) -> int:
        call, done = calls[number], 0
        ready.wait()
        # At least once, because on a busy machine a thread may start after time is up.
        while not done or not end.is_set():
            for _ in range(between):
                answer = call()
            done += between
        assert np.array_equal(answer, expected[number])
        return done

    with ThreadPoolExecutor(len(calls)) as pool:
        workers = [pool.submit(repeat, number) for number in range(len(calls))]
        ready.wait()
        start = time.perf_counter()
        time.sleep(0.05 if QUICK else 0.2)
        end.set()
        done = sum(worker.result() for worker in workers)
        return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
