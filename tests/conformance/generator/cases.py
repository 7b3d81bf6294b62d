"""The cases: queries for each model, and the expected results."""

import dataclasses

import numpy as np

from . import npyfile
from .models import Model, related, unit_centroids
from .numbers import Stream, dot, project, rank, unit

# Smallest difference of scores that are not ties, so that rounding cannot change the order.
MIN_GAP = 1e-4
HEADER = """\
# Conformance cases; README.md says what each column and each file of a case is.
# name source path model_id temperature d d_out heads queries answers k searches embedding_model
"""


@dataclasses.dataclass
class Case:
    """One line of cases.txt."""

    name: str
    model: Model
    temperature: float
    source: str = "dir"
    path: str | None = None  # of the database; a folder's is the model's
    embedding_model: str = "-"
    queries: np.ndarray | None = None  # made from the model when absent
    count: int = 8
    answers: int = 20  # 0: a case without search
    k: int = 5
    tied: bool = False  # search among few distinct vectors
    pool: tuple | None = None  # (ids, vectors) when the answers are given


def make_queries(name, model, count):
    """Alternates usual and unusual queries, with norms from 1e-6 to 1e6."""
    stream = Stream(f"queries {name}")
    units = unit_centroids(model)
    d = model.d
    near = related(stream, d)
    shapes = [
        lambda: unit(units[0] + 0.5 * stream.unit(d)),
        lambda: model.heads[-1].centroid,
        lambda: -unit(np.sum(units, axis=0)),
        lambda: stream.unit(d),
        lambda: orthogonal(stream, units) if len(units) < d else stream.unit(d),
        lambda: unit(units[len(units) // 2] + 0.3 * stream.unit(d)),
        lambda: unit(units[0] + units[-1] + 1e-3 * stream.unit(d)),
        lambda: next(near),
    ]
    norms = [1.0, None, 1e-6, 1e6, 1.0, 0.02, 1.0, 350.0]
    rows = []
    for i in range(count):
        vector, size = shapes[i % len(shapes)](), norms[i % len(norms)]
        rows.append(vector if size is None else vector * size)
    return np.array(rows).astype("<f4")


def orthogonal(stream, units):
    """A direction at a right angle to all of `units` (Gram-Schmidt)."""
    basis = []
    for vector in [*units, stream.unit(len(units[0]))]:
        for other in basis:
            vector = vector - dot(vector, other) * other
        if dot(vector, vector) > 1e-6:  # not a duplicate of an earlier one
            basis.append(unit(vector))
    return basis[-1]


def make_answers(case, attempt):
    """Vectors to search, with unordered ids and exact duplicates."""
    model = case.model
    stream = Stream(f"answers {case.model.path} {model.id} {attempt}")
    others = related(stream, model.d_out, 2.0)
    distinct = [next(others) for _ in range(case.answers - 3)]
    for i, head in enumerate(model.heads[: len(distinct) // 2]):
        distinct[2 * i] = head.answer + 0.2 * stream.unit(model.d_out)
    if case.tied:
        distinct = [distinct[i % 4] for i in range(len(distinct))]
    # Two copies and one of twice the length: three ties.
    distinct = np.array(distinct).astype("<f4")
    vectors = np.array([*distinct, distinct[0], distinct[-1], 2 * distinct[-1]])
    ids = stream.shuffled([*range(3, 3 + len(vectors) - 1), 9007199254740993])
    return ids, vectors


def searches_of(case, queries, projected, ids, vectors):
    """Ranks the answers for each kind of search; plain only if the dimensions allow it."""
    sources = {"projected": projected}
    if case.model.d == case.model.d_out:
        sources["plain"] = queries
    return {
        name: [rank(row, vectors, ids, case.k) for row in rows] for name, rows in sources.items()
    }


def distinct_orders(found):
    """For each query, whether rounding cannot change the order of its answers."""
    gaps = np.array([[gap for _, _, gap in rows] for rows in found.values()])
    return gaps.min(axis=0) >= MIN_GAP


def search(case, queries, projected):
    """(ids, vectors, searches), with generated answers whose order rounding cannot change."""
    for attempt in range(50):
        ids, vectors = make_answers(case, attempt)
        found = searches_of(case, queries, projected, ids, vectors)
        if distinct_orders(found).all():
            return ids, vectors, found
    raise SystemExit(f"{case.name}: no answers whose scores differ by {MIN_GAP}")


def clear_queries(case, queries):
    """The queries for which rounding cannot change the order of the answers."""
    projected = [project(case.model.heads, row, case.temperature)[0] for row in queries]
    keep = distinct_orders(searches_of(case, queries, projected, *case.pool))
    if keep.sum() < len(keep) / 2:
        raise SystemExit(f"{case.name}: too few queries whose scores differ by {MIN_GAP}")
    return queries[keep]


def lines(values):
    return "".join(f"{value}\n" for value in values)


def write(root, case):
    """Writes a case's folder and returns its line of cases.txt."""
    model, folder = case.model, f"{root}/cases/{case.name}"
    queries = case.queries
    if queries is None:
        queries = make_queries(f"{model.path} {model.id}", model, case.count)
        if case.pool:
            queries = clear_queries(case, queries)
    npyfile.write(f"{folder}/queries.npy", queries, "<f4")
    results = [project(model.heads, row, case.temperature) for row in queries]
    projected = np.array([p for p, _ in results])
    npyfile.write(f"{folder}/projected.npy", projected, "<f8")
    npyfile.write(f"{folder}/weights.npy", np.array([w for _, w in results]), "<f8")
    npyfile.write_text(f"{folder}/head_ids.txt", lines(head.cluster_id for head in model.heads))

    searches, k = "none", 0
    if case.answers:
        if case.pool:
            ids, vectors = case.pool
            found = searches_of(case, queries, projected, ids, vectors)
        else:
            ids, vectors, found = search(case, queries, projected)
        npyfile.write(f"{folder}/answers.npy", vectors, "<f4")
        npyfile.write_text(f"{folder}/answer_ids.txt", lines(ids))
        for name, rows in found.items():
            npyfile.write(f"{folder}/{name}_scores.npy", np.array([s for _, s, _ in rows]), "<f8")
            npyfile.write_text(f"{folder}/{name}_ids.txt",
                               lines(" ".join(map(str, best)) for best, _, _ in rows))
        searches = "both" if "plain" in found else "projected"
        k = case.k
    columns = [case.name, case.source, case.path or model.path, model.id, case.temperature,
               model.d, model.d_out, len(model.heads), len(queries),
               len(vectors) if k else 0, k, searches, case.embedding_model]
    return " ".join(map(str, columns)) + "\n"


def over(models, name, temperatures, **options):
    return [Case(f"{name}-t{t}", models[name], t, **options) for t in temperatures]


def plan(models):
    """The cases over the models of models/, smallest first."""
    every = (0.001, 0.01, 0.02, 0.07, 0.1, 1.0, 10.0)
    axis_queries = np.array(
        [[1, 0, 0], [0, 0, 1], [0, 0, -4], [-1, -1, 0], [-2, 0, 0], [1, 1, 0], [3, 4, 12],
         [1e-6, 2e-6, 0], [0, 1e6, 1]], "<f4")
    cases = [
        *over(models, "d3_one", (0.001, 0.1)),
        *over(models, "d3_axes", (0.02, 0.1, 1.0), queries=axis_queries),
        *over(models, "d3_near_ties", (0.001, 0.01, 0.1), count=12),
        *over(models, "d8_mixed", every),
        *over(models, "d8_float64", (0.001, 0.1)),
        *over(models, "d8_float16", (0.01, 0.1)),
        *over(models, "d8_norms", (0.001, 0.07, 1.0), count=16),
        *over(models, "d8_large_ids", (0.1,)),
        *over(models, "d8_ties", (0.001, 0.1), tied=True),
        *over(models, "d8_fortran", (0.02, 0.1)),
        *over(models, "d8_headers", (0.1,)),
        *over(models, "d8_some_w", (0.01, 0.1, 1.0)),
        *over(models, "d8_to_d3", (0.02, 0.1)),
        *over(models, "old_names", (0.1,)),
        *over(models, "old_names_any_id", (0.1,)),
        *over(models, "straight", (0.1,)),
        *over(models, "chapter", (0.1,)),
        *over(models, "chapter_search", (0.1,), k=50),
        *over(models, "chapter_search_other", (0.07,), answers=4, k=1),
        *over(models, "d384_to_d8", (0.1,), count=6),
        *over(models, "d384_w", (0.1,), count=6, answers=0),
        *over(models, "d384_18", every, count=6, answers=0),
        *over(models, "d384_200", (0.01, 0.1, 1.0), count=5, answers=0),
    ]
    for case in cases:
        if case.name in ("d384_18-t0.1", "d384_18-t0.02", "d384_200-t0.1"):
            case.answers, case.k = 40, 10
    return cases
