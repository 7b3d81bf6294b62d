"""The other kinds of models: residual, linear, and multi-head with its own parameters.

The mathematics is that of the README's section on kinds, with the sums of `numbers`.
"""

import dataclasses
import json
import math

import numpy as np

from . import npyfile
from .cases import MIN_GAP, distinct_orders, lines
from .models import Files, Model, related
from .numbers import Stream, cosine, dot, exp, matvec, norm, rank, softmax, unit

HEADER = """\
# Conformance cases of the other kinds; README.md says what each column and file is.
# name kind path model_id temperature d d_out heads queries answers k searches
"""
LEAST_TOTAL = 1e-9  # neighbours whose weights sum to less are equally near
LEAST_ALIGNMENT = 1e-6


@dataclasses.dataclass
class Kind:
    """A model of any kind as an exact reader of its files sees it."""

    path: str
    id: int
    parameters: dict
    heads: list = dataclasses.field(default_factory=list)  # of Model
    questions: dict = dataclasses.field(default_factory=dict)  # cluster id: (m, d)
    adapter: np.ndarray | None = None
    W: np.ndarray | None = None

    @property
    def kind(self):
        return self.parameters["kind"]

    @property
    def d(self):
        if self.W is not None:
            return self.W.shape[1]
        if self.adapter is not None:
            return len(self.adapter)
        return len(self.heads[0].centroid)

    @property
    def d_out(self):
        return self.d if self.W is None else len(self.W)

    @property
    def head_ids(self):
        if self.kind == "residual":
            return sorted(self.questions)
        return [head.cluster_id for head in self.heads]


def top_k(model, query, temperature):
    """Multi-head with the k nearest heads only; of equally near heads, the lower id."""
    scores = [cosine(query, head.centroid) for head in model.heads]
    k = model.parameters["top_k"] or len(scores)
    order = sorted(range(len(scores)), key=lambda i: -scores[i])[:k]
    weights = np.zeros(len(scores))
    weights[order] = softmax([scores[i] for i in order], temperature)
    return matvec(np.stack([head.answer for head in model.heads], axis=1), weights), weights


def turned(answer, questions, angle):
    """The answer turned towards the mean of its questions by at most an angle."""
    a, g = unit(answer), unit(np.sum([unit(q) for q in questions], axis=0))
    if dot(a, g) >= math.cos(angle):
        return g
    return unit(math.cos(angle) * a + math.sin(angle) * unit(g - dot(a, g) * a))


def residual(model, query, temperature):
    """unit(q + s (Δ + q W)), and the rotation's weights summed over clusters."""
    parameters, q = model.parameters, unit(query)
    added, weights = [np.zeros(model.d)], np.zeros(len(model.questions))
    keys = [(row, unit(c)) for row, n in enumerate(sorted(model.questions))
            for c in model.questions[n]]
    if keys:
        answers = [unit(head.answer) for head in model.heads]
        if angle := parameters.get("answer_angle"):
            answers = [turned(head.answer, model.questions[head.cluster_id], angle)
                       for head in model.heads]
        found = sorted(((cosine(query, c), row, c) for row, c in keys), key=lambda e: -e[0])
        k = min(parameters["neighbours"], len(found) - 1)
        near, left_out = found[:k], found[k]
        w = [exp((s - found[0][0]) / temperature) - exp((left_out[0] - found[0][0]) / temperature)
             for s, _, _ in near]
        total = math.fsum(w)
        if total > LEAST_TOTAL:
            for (s, row, c), share in zip(near, w):
                share /= total
                weights[row] += share
                a = answers[row]
                b = (s + dot(a, q)) / max(1 + dot(c, a), LEAST_ALIGNMENT)
                if parameters["rotation"]:
                    added.append(share * ((2 * s - b) * a - b * c))
        else:
            for _, row, _ in found[: k + 1]:
                weights[row] += 1 / (k + 1)
    if model.adapter is not None:
        added.append(matvec(model.adapter.T, q))
    moved = np.array([math.fsum(column) for column in np.stack(added, axis=1).tolist()])
    z = q + parameters["gain"] * moved
    return z / max(norm(z), 1e-12), weights


def project(model, query, temperature):
    if model.kind == "linear":
        return matvec(model.W, query), np.zeros(0)
    temperature = temperature or model.parameters["temperature"]
    return (residual if model.kind == "residual" else top_k)(model, query, temperature)


class Maker:
    """Writes the files of one model."""

    def __init__(self, root, name, model_id, **parameters):
        self.root, self.stream = root, Stream(name)
        self.files = Files(root, f"models/{name}", model_id)
        self.model = Kind(self.files.path, model_id, parameters)

    def head(self, n, answer, questions, dtype="<f4", **options):
        questions = np.atleast_2d(questions)
        self.model.questions[n] = self.files.write(n, "questions", questions, dtype, **options)
        mean = np.sum([unit(q) for q in questions], axis=0)
        centroid = unit(mean) if norm(mean) > 1e-6 else unit(questions[0])
        self.model.heads.append(self.files.head(n, centroid, answer, dtypes=(dtype,) * 3))

    def heads(self, ids, counts, d, norms=(1.0,), dtype="<f4", **options):
        """Heads whose questions are around a point, with alternating lengths."""
        points, answers = related(self.stream, d), related(self.stream, d, 2.0)
        for i, (n, count) in enumerate(zip(ids, counts)):
            point, size = next(points), norms[i % len(norms)]
            rows = [size * unit(point + 0.7 * self.stream.unit(d)) for _ in range(count)]
            self.head(n, next(answers) * size, rows, dtype, **options)

    def whole(self, kind, array, dtype, **options):
        path = f"{self.root}/{self.files.path}/mh_{self.files.id}_{kind}.npy"
        return npyfile.write(path, array, dtype, **options)

    def adapter(self, d, dtype="<f4", **options):
        # Far from symmetric, so that W and its transpose differ.
        values = 0.3 * self.stream.uniform(d, d) / math.sqrt(d) + 0.2 * np.eye(d, k=1)
        self.model.adapter = self.whole("adapter", values, dtype, **options)

    def done(self):
        self.model.heads = Model("", 0, self.model.heads).heads
        text = json.dumps(self.model.parameters, indent=1)
        npyfile.write_text(f"{self.root}/{self.files.path}/mh_{self.files.id}_model.json", text)
        return self.model


def residual_maker(root, name, rotation=True, adapter=False, gain=0.5, neighbours=5,
                   temperature=0.1, model_id=1, **others):
    return Maker(root, name, model_id, kind="residual", gain=gain, temperature=temperature,
                 neighbours=neighbours, rotation=rotation, adapter=adapter, **others)


def residual_models(root):
    one = residual_maker(root, "residual_all", adapter=True, model_id=3)
    one.heads([2, 10, 100, 9], [3, 1, 6, 4], 8)
    one.adapter(8)
    yield "residual_all", one.done()
    one = residual_maker(root, "residual_rotation", gain=0.7)
    one.heads(range(1, 9), [2, 3, 1, 5, 1, 2, 2, 4], 8, dtype="<f8")
    yield "residual_rotation", one.done()
    one = residual_maker(root, "residual_few", neighbours=32)
    one.heads([4, 30, 5], [2, 1, 4], 8)
    yield "residual_few", one.done()
    one = residual_maker(root, "residual_single", neighbours=32)
    one.heads([7], [1], 8)
    yield "residual_single", one.done()

    # The same question in every cluster, twice as long in one: all are equally near.
    one = residual_maker(root, "residual_all_tied", neighbours=2)
    same, answers = one.stream.unit(8), related(one.stream, 8, 2.0)
    for n, size in ((1, 1.0), (2, 1.0), (3, 2.0), (4, 1.0)):
        one.head(n, next(answers), size * same)
    yield "residual_all_tied", one.done()
    # Pairs of the same question in two clusters, among others.
    one = residual_maker(root, "residual_pairs", neighbours=4)
    points, answers = related(one.stream, 8), related(one.stream, 8, 2.0)
    pairs = [next(points) for _ in range(4)]
    for n, questions in ((1, pairs[:2]), (2, pairs[:3]), (12, pairs[2:]), (3, [next(points)])):
        one.head(n, next(answers), questions)
    yield "residual_pairs", one.done()
    # Questions equal to their answer, opposite to it, and at a right angle.
    one = residual_maker(root, "residual_opposite", gain=0.4, neighbours=3)
    axes = np.eye(8)
    points = related(one.stream, 8)
    one.head(1, axes[0], [-axes[0], axes[1]])
    one.head(2, axes[2], [axes[2], axes[3]])
    one.head(3, next(points), [next(points), next(points)])
    yield "residual_opposite", one.done()

    one = residual_maker(root, "residual_lengths", adapter=True, gain=0.35, neighbours=8,
                         model_id=9007199254740993)
    one.heads([0, 9, 10, 9223372036854775807], [4, 4, 4, 4], 8, norms=(0.01, 100.0, 1.0, 3.0),
              dtype="<f8", fortran=True, version=(2, 0))
    one.adapter(8, dtype="<f8", fortran=True)
    yield "residual_lengths", one.done()
    one = residual_maker(root, "residual_float16")
    one.heads([1, 2, 3], [5, 2, 3], 8, dtype="<f2")
    yield "residual_float16", one.done()

    one = residual_maker(root, "residual_adapter", rotation=False, adapter=True, gain=0.8)
    one.adapter(8)
    yield "residual_adapter", one.done()
    one = residual_maker(root, "residual_routed_adapter", rotation=False, adapter=True)
    one.heads([1, 11, 2], [2, 2, 5], 8)
    one.adapter(8)
    yield "residual_routed_adapter", one.done()

    # Two of the answers are nearer to the mean of their questions than the angle.
    one = residual_maker(root, "residual_moved", adapter=True, answer_angle=0.9)
    one.heads([2, 9, 10, 100], [3, 1, 6, 4], 8, norms=(1.0, 2.0))
    one.adapter(8)
    yield "residual_moved", one.done()

    one = residual_maker(root, "residual_d384", adapter=True, neighbours=32)
    one.heads(range(1, 41), [1 + i % 7 for i in range(40)], 384)
    one.adapter(384, dtype="<f2")
    yield "residual_d384", one.done()


def linear_model(root, name, d_out, d, model_id, dtype="<f4", **options):
    path = f"models/{name}"
    values = Stream(name).uniform(d_out, d)
    W = npyfile.write(f"{root}/{path}/W_projection_{model_id}.npy", values, dtype, **options)
    return name, Kind(path, model_id, {"kind": "linear"}, W=W)


def top_k_model(root, name, k):
    one = Maker(root, name, 1, kind="multi_head", temperature=0.1, top_k=k)
    points, answers = related(one.stream, 8), related(one.stream, 8, 2.0)
    first = next(points)
    for n in (2, 10, 100, 9, 7):
        # Heads 10 and 7 have the same centroid: the lower id is used.
        centroid = first if n in (7, 10) else next(points)
        one.model.heads.append(one.files.head(n, centroid, next(answers)))
    return name, one.done()


def make_queries(name, model, count):
    """Equal to a question, opposite to one, near one, an answer, between, anywhere."""
    stream = Stream(f"queries {name}")
    points = [unit(q) for rows in model.questions.values() for q in rows]
    points += [unit(head.centroid) for head in model.heads]
    points = points or [stream.unit(model.d) for _ in range(3)]
    ends = [unit(head.answer) for head in model.heads] or points
    exact = [row for rows in model.questions.values() for row in rows] or points
    shapes = [
        lambda i: exact[i % len(exact)],
        lambda i: -exact[(i + 1) % len(exact)],
        lambda i: unit(points[i % len(points)] + 0.5 * stream.unit(model.d)),
        lambda i: ends[i % len(ends)],
        lambda i: unit(points[0] + points[-1] + 0.1 * stream.unit(model.d)),
        lambda i: stream.unit(model.d),
    ]
    norms = [None, None, 1e-6, 1e6, 1.0, 0.02, 350.0]
    rows = []
    for i in range(count):
        vector, size = shapes[i % len(shapes)](i), norms[i % len(norms)]
        rows.append(vector if size is None else unit(vector) * size)
    return np.array(rows).astype("<f4")


def search(model, queries, projected, k):
    """(ids, vectors, hits) with generated answers whose order rounding cannot change."""
    for attempt in range(50):
        stream = Stream(f"answers {model.path} {attempt}")
        others = related(stream, model.d_out, 2.0)
        vectors = np.array([next(others) for _ in range(20)]).astype("<f4")
        vectors = np.array([*vectors, vectors[0], 2 * vectors[1]])
        ids = stream.shuffled([*range(3, 24), 9007199254740993])
        found = {"projected": [rank(row, vectors, ids, k) for row in projected]}
        if model.d == model.d_out:
            found["plain"] = [rank(row, vectors, ids, k) for row in queries]
        if distinct_orders(found).all():
            return ids, vectors, found
    raise SystemExit(f"{model.path}: no answers whose scores differ by {MIN_GAP}")


def write(root, name, model, temperature=None, count=12, k=5):
    """Writes a case's folder and returns its line of kinds.txt."""
    folder = f"{root}/kinds/{name}"
    queries = make_queries(model.path, model, count)
    npyfile.write(f"{folder}/queries.npy", queries, "<f4")
    results = [project(model, row, temperature) for row in queries]
    projected = np.array([p for p, _ in results])
    npyfile.write(f"{folder}/projected.npy", projected, "<f8")
    if model.head_ids:
        npyfile.write(f"{folder}/weights.npy", np.array([w for _, w in results]), "<f8")
    npyfile.write_text(f"{folder}/head_ids.txt", lines(model.head_ids))
    ids, vectors, found = search(model, queries, projected, k)
    npyfile.write(f"{folder}/answers.npy", vectors, "<f4")
    npyfile.write_text(f"{folder}/answer_ids.txt", lines(ids))
    for kind, rows in found.items():
        npyfile.write(f"{folder}/{kind}_scores.npy", np.array([s for _, s, _ in rows]), "<f8")
        npyfile.write_text(f"{folder}/{kind}_ids.txt",
                           lines(" ".join(map(str, best)) for best, _, _ in rows))
    columns = [name, model.kind, model.path, model.id, temperature or "-", model.d, model.d_out,
               len(model.head_ids), len(queries), len(vectors), k,
               "both" if "plain" in found else "projected"]
    return " ".join(map(str, columns)) + "\n"


def build(root):
    """Writes the models, kinds/ and kinds.txt."""
    models = dict(residual_models(root))
    models |= dict([
        linear_model(root, "linear_d8", 8, 8, 4, "<f8", fortran=True),
        linear_model(root, "linear_d8_to_d3", 3, 8, 1),
        linear_model(root, "linear_d384", 384, 384, 2, "<f2"),
        top_k_model(root, "top_1", 1),
        top_k_model(root, "top_3", 3),
        top_k_model(root, "top_9_of_5", 9),
    ])
    cases = [(name, model, None) for name, model in models.items()]
    # A temperature other than the stored one.
    cases += [("residual_rotation-t0.02", models["residual_rotation"], 0.02),
              ("residual_rotation-t1.0", models["residual_rotation"], 1.0),
              ("top_3-t0.02", models["top_3"], 0.02)]
    npyfile.write_text(f"{root}/kinds.txt", HEADER + "".join(
        write(root, name, model, temperature) for name, model, temperature in cases))
