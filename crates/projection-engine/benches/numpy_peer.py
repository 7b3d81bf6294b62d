"""The NumPy side of the benchmark `project`, which starts this program and talks to it.

    numpy_peer.py FOLDER

FOLDER holds centroids.npy, answers.npy (n × d) and queries.npy. After a first line that
describes NumPy, every line read from standard input is answered by one line:

    check WORK         ok             results for all queries are in first.npy, second.npy
    time WORK CALLS    nanoseconds    taken by CALLS calls, measured in here

WORK is `one HEADS` (a query a call), `batch HEADS QUERIES` (the first QUERIES a call),
`onnx QUERIES` (so many a call, by ONNX Runtime with the exported graph heads.onnx), `search ROWS
QUERIES` (the 10 nearest of the first ROWS answers, for so many queries a call) or `neighbours ROWS`
(the 32 nearest of the first ROWS centroids). `check` takes the number of
queries whose results are wanted as a last argument. The engine has its matrices ready when its time
starts, so they are ready here too, and results go into arrays made beforehand. Among ways
of writing each step, the one that measured fastest was taken.
"""

import ctypes
import gc
import glob
import math
import os
import sys
from itertools import cycle, islice
from time import perf_counter_ns

import numpy as np

TEMPERATURE = 0.1
NEAREST = 10
NEIGHBOURS = 32
QUERIES = 32


def unit(rows):
    """Rows of length 1; the norms are taken in double precision, as in the engine."""
    units = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), 10_000):
        part = rows[start : start + 10_000].astype(np.float64)
        units[start : start + 10_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return units


def one(centroids, answers):
    """Projects a query: weights = softmax(cos(q, centroids) / τ), projected = weights @ answers."""
    heads, dim = answers.shape
    weights = np.empty(heads, np.float32)
    projected = np.empty(dim, np.float32)
    ones = np.ones(heads, np.float32)
    dot, exp, sqrt = np.dot, np.exp, math.sqrt
    multiply, subtract, divide = np.multiply, np.subtract, np.divide

    def call(query):
        dot(centroids, query, weights)
        multiply(weights, 1.0 / (TEMPERATURE * sqrt(dot(query, query))), weights)
        subtract(weights, weights[weights.argmax()], weights)
        exp(weights, weights)
        divide(weights, dot(weights, ones), weights)
        dot(weights, answers, projected)
        return projected, weights

    return call


def batch(centroids, answers, rows):
    """Projects all queries by two matrix products."""
    heads, dim = answers.shape
    # Heads × queries: the sums and maxima over heads are then those of whole rows.
    weights = np.empty((heads, rows), np.float32)
    projected = np.empty((rows, dim), np.float32)
    dot, exp, sqrt = np.dot, np.exp, np.sqrt
    multiply, subtract, divide = np.multiply, np.subtract, np.divide
    largest, total = np.maximum.reduce, np.add.reduce

    def call(queries):
        dot(centroids, queries.T, weights)
        norms = sqrt(np.einsum("ij,ij->i", queries, queries))
        multiply(weights, (1.0 / TEMPERATURE) / norms, weights)
        subtract(weights, largest(weights, axis=0), weights)
        exp(weights, weights)
        divide(weights, total(weights, axis=0), weights)
        dot(weights.T, answers, projected)
        return projected, weights.T

    return call


def onnx(path, blocks):
    """Runs an exported graph. Queries and results are bound to their memory beforehand, which
    saves ONNX Runtime's Python interface most of its own time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    shapes = [[len(blocks[0]), output.shape[1]] for output in session.get_outputs()]
    bound = []
    for block in blocks:
        binding = session.io_binding()
        query = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(block))
        binding.bind_ortvalue_input("query", query)
        results = [onnxruntime.OrtValue.ortvalue_from_shape_and_type(s, np.float32) for s in shapes]
        for output, result in zip(session.get_outputs(), results):
            binding.bind_ortvalue_output(output.name, result)
        bound.append((binding, results))
    run = session.run_with_iobinding

    def call(work):
        run(work[0])
        return work[1]

    return call, bound


def search(vectors, nearest):
    """Finds the nearest vectors: their cosines, best first, and their rows."""
    count = len(vectors)
    scores = np.empty(count, np.float32)

    def call(query):
        np.dot(vectors, query, scores)
        top = scores.argpartition(count - nearest)[count - nearest:]
        best = scores[top]
        order = best.argsort()[::-1]
        return best[order] / math.sqrt(query.dot(query)), top[order]

    return call


def search_batch(vectors, nearest):
    """The same for all queries of a call, by one matrix product."""
    count = len(vectors)

    def call(queries):
        scores = np.dot(queries, vectors.T)
        top = scores.argpartition(count - nearest, axis=1)[:, count - nearest:]
        best = np.take_along_axis(scores, top, axis=1)
        order = best.argsort(axis=1)[:, ::-1]
        norms = np.sqrt(np.einsum("ij,ij->i", queries, queries))[:, None]
        return np.take_along_axis(best, order, 1) / norms, np.take_along_axis(top, order, 1)

    return call


def unit_queries(queries):
    return np.ascontiguousarray(queries / np.linalg.norm(queries, axis=1, keepdims=True))


class Large:
    """Many vectors, of length 1, and queries; in FAISS and usearch, which are imported for
    the rows that need them."""

    def __init__(self, folder):
        self.rows = unit(np.load(f"{folder}/large.npy"))
        self.queries = unit_queries(np.load(f"{folder}/large_queries.npy"))
        self.made = {}

    def exact(self, kind):
        """Exact search of a library, for one query or many."""
        if kind not in self.made:
            self.made[kind] = {"flat": self._flat, "usearch": self._usearch}[kind]()
        return self.made[kind]

    def _flat(self):
        import faiss

        faiss.omp_set_num_threads(1)
        # Where FAISS takes products of BLAS for batches, which it does not for 20 and fewer.
        faiss.cvar.distance_compute_blas_threshold = 20
        index = faiss.IndexFlatIP(self.rows.shape[1])
        index.add(self.rows)
        return lambda queries: index.search(queries, NEAREST)

    def _usearch(self):
        from usearch.index import MetricKind, search

        def call(queries):
            found = search(self.rows, queries, NEAREST, MetricKind.IP, exact=True, threads=1)
            shape = (len(queries), NEAREST)
            return 1.0 - found.distances.reshape(shape), found.keys.reshape(shape)

        return call

    def approximate(self, kind, recall):
        """Approximate search, at the least effort with which it finds this share."""
        if kind not in self.made:
            call, efforts = {"ivf": self._ivf, "hnsw": self._hnsw, "graph": self._graph}[kind]()
            true = self.exact("flat")(self.queries)[1]
            for effort in (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024):
                efforts(effort)
                found = [call(query[None])[1][0] for query in self.queries]
                hits = sum(len(set(a) & set(b)) for a, b in zip(true, found))
                if hits >= recall * true.size:
                    break
            else:
                raise SystemExit(f"{kind} does not reach the recall {recall}")
            self.made[kind] = call
        return self.made[kind]

    def _ivf(self):
        import faiss

        faiss.omp_set_num_threads(os.cpu_count())
        dim = self.rows.shape[1]
        lists = int(4 * math.sqrt(len(self.rows)))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT
        )
        index.train(self.rows[: 40 * lists])
        index.add(self.rows)
        faiss.omp_set_num_threads(1)

        def effort(probes):
            index.nprobe = probes

        return (lambda queries: index.search(queries, NEAREST)), effort

    def _hnsw(self):
        import faiss

        faiss.omp_set_num_threads(os.cpu_count())
        index = faiss.IndexHNSWFlat(self.rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        index.add(self.rows)
        faiss.omp_set_num_threads(1)

        def effort(candidates):
            index.hnsw.efSearch = candidates

        return (lambda queries: index.search(queries, NEAREST)), effort

    def _graph(self):
        from usearch.index import Index

        index = Index(ndim=self.rows.shape[1], metric="ip", dtype="f32", expansion_add=80)
        index.add(np.arange(len(self.rows)), self.rows)

        def call(queries):
            found = index.search(queries, NEAREST, threads=1)
            shape = (len(queries), NEAREST)
            return 1.0 - found.distances.reshape(shape), found.keys.reshape(shape)

        def effort(candidates):
            index.expansion_search = candidates

        return call, effort


def copied(array):
    """A copy, also of what ONNX Runtime keeps."""
    return array.copy() if isinstance(array, np.ndarray) else array.numpy().copy()


class Peer:
    """The data of a folder, and the work that was asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.centroids = unit(np.load(f"{folder}/centroids.npy"))
        self.answers = np.load(f"{folder}/answers.npy")
        self.queries = np.load(f"{folder}/queries.npy")
        self.rows = list(self.queries[:QUERIES])
        self.calls = {}
        self.large = None

    def call_large(self, kind, queries, recall):
        if self.large is None:
            self.large = Large(self.folder)
        queries = int(queries)
        if recall is None:
            call = self.large.exact(kind)
        else:
            call = self.large.approximate(kind, float(recall))
        all_queries = self.large.queries
        if queries == 1:
            return call, [all_queries[i : i + 1] for i in range(QUERIES)]
        return call, [all_queries[:queries]]

    def call(self, kind, size, queries=1, recall=None):
        """The function that does the work, and the arguments to call it with in turn."""
        if kind == "onnx":
            count = int(size)
            if (kind, count) not in self.calls:
                blocks = np.split(self.queries[:QUERIES], QUERIES // count)
                self.calls[kind, count] = onnx(f"{self.folder}/heads.onnx", blocks)
            return self.calls[kind, count]
        if kind in ("flat", "usearch", "ivf", "hnsw", "graph"):
            return self.call_large(kind, queries, recall)
        size, queries = int(size), int(queries)
        if (kind, size, queries) not in self.calls:
            centroids, answers = self.centroids[:size], self.answers[:size]
            block = [self.queries[:queries]]
            self.calls[kind, size, queries] = {
                "one": lambda: (one(centroids, answers), self.rows),
                "batch": lambda: (batch(centroids, answers, queries), block),
                "search": lambda: (search(unit(answers), NEAREST), self.rows)
                if queries == 1
                else (search_batch(unit(answers), NEAREST), block),
                "neighbours": lambda: (search(centroids, NEIGHBOURS), self.rows),
            }[kind]()
        return self.calls[kind, size, queries]

    def check(self, *arguments):
        *work, count = arguments
        call, arguments = self.call(*work)
        results = [[copied(array) for array in call(argument)] for argument in arguments]
        for name, arrays in zip(("first", "second"), zip(*results)):
            np.save(f"{self.folder}/{name}.npy", np.vstack(arrays).astype(np.float32)[: int(count)])
        return "ok"

    def time(self, *arguments):
        *work, calls = arguments
        call, arguments = self.call(*work)
        arguments = islice(cycle(arguments), int(calls))
        start = perf_counter_ns()
        for argument in arguments:
            call(argument)
        return perf_counter_ns() - start


def about():
    """NumPy's version and, where NumPy brought its own OpenBLAS, the kernels in use there."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    text = f"NumPy {np.__version__}, BLAS {blas['name']} {blas.get('version', '')}"
    libraries = os.path.join(os.path.dirname(np.__file__), os.pardir, "numpy.libs")
    for path in glob.glob(os.path.join(libraries, "*openblas*")):
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_"):
            if hasattr(library, name):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                return f"{text} with kernels for {function().decode()}"
    return text


def main():
    peer = Peer(sys.argv[1])
    gc.disable()
    print(about(), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        print({"check": peer.check, "time": peer.time}[command](*arguments), flush=True)


main()
