"""Checks the finished files with a second implementation.

It shares nothing with the code that wrote them: NumPy reads the arrays, models are found
by file name or through the database, and the mathematics is the obvious NumPy.
"""

import os
import re
import sqlite3

import numpy as np

# Largest error of an engine with float32 parameters and answers; the tolerance is 1e-5.
FLOAT32_BUDGET = 5e-6


def load_folder(folder, number):
    """Heads (cluster id, centroid, answer, W or None) of a folder or the folders below it."""
    pattern = re.compile(rf"mh_{number}_cluster_(\d+)_centroid\.npy")
    below = [entry.path for entry in sorted(os.scandir(folder), key=lambda e: e.name)
             if entry.is_dir()]
    for place in [folder, *below]:
        names = os.listdir(place)
        found = sorted(int(m[1]) for m in map(pattern.fullmatch, names) if m)
        if found:
            stem = f"{place}/mh_{number}_cluster_"
            return [(n, np.load(f"{stem}{n}_centroid.npy"), np.load(f"{stem}{n}_answer.npy"),
                     np.load(f"{stem}{n}_W.npy") if f"mh_{number}_cluster_{n}_W.npy" in names
                     else None) for n in found]
        if not any(name.startswith("mh_") for name in names):
            found = sorted(int(m[1]) for m in
                           (re.fullmatch(r"centroid_(\d+)\.npy", name) for name in names) if m)
            if found:
                return [(n, np.load(f"{place}/centroid_{n}.npy"),
                         np.load(f"{place}/answer_emb_{n}.npy"), None) for n in found]
    raise AssertionError(f"{folder}: no model {number}")


def load_database(path, number):
    """(temperature, heads, answers by id) of a model in a database."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def load(stored):
        return stored and np.load(f"{os.path.dirname(path)}/embeddings/{stored.split('/')[-1]}")

    (temperature,) = db.execute("SELECT temperature FROM multi_head_projections "
                                "WHERE mh_projection_id = ?", (number,)).fetchone()
    heads = [(n, load(c), load(a), load(w)) for n, c, a, w in db.execute(
        "SELECT cluster_id, centroid_path, answer_emb_path, W_path FROM cluster_heads "
        "WHERE mh_projection_id = ? ORDER BY cluster_id", (number,))]
    answers = {n: load(p) for n, p in db.execute(
        "SELECT entity_id, vector_path FROM embeddings WHERE entity_type = 'answer'")}
    db.close()
    return temperature, heads, answers


def project(heads, queries, temperature, parameters):
    """Projections and weights, with centroids, answers and W rounded to `parameters`."""
    queries = queries.astype(np.float64)
    centroids = np.stack([c.reshape(-1) for _, c, _, _ in heads]).astype(parameters).astype("f8")
    scores = queries @ centroids.T
    scores /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(centroids, axis=1)
    weights = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    projected = 0.0
    for column, (_, _, answer, W) in zip(weights.T, heads):
        if W is None:
            term = np.tile(answer.reshape(-1), (len(queries), 1))
        else:
            term = queries @ W.astype(parameters).astype("f8").T
        projected = projected + column[:, None] * term.astype(parameters).astype("f8")
    return projected, weights


def check_search(name, rows, vectors, ids, expected_ids, expected_scores):
    unit = vectors.astype("f8") / np.linalg.norm(vectors.astype("f8"), axis=1)[:, None]
    for row, best, scores in zip(rows, expected_ids, expected_scores):
        # Rounded, so that vectors of the same direction tie here too.
        found = np.round(unit @ (row.astype("f8") / np.linalg.norm(row.astype("f8"))), 12)
        order = sorted(zip(-found, ids))[: len(best)]
        assert [number for _, number in order] == best, f"{name}: hits"
        assert np.allclose([-s for s, _ in order], scores, rtol=0, atol=1e-11), f"{name}: scores"


def read_ids(path):
    with open(path) as file:
        return [[int(word) for word in line.split()] for line in file]


def check_case(root, columns):
    """Checks one line of cases.txt; returns the error of float32 parameters."""
    (name, source, path, number, temperature, d, d_out, count, n, m, k, searches, _) = columns
    temperature, number = float(temperature), int(number)
    d, d_out, count, n, m, k = map(int, (d, d_out, count, n, m, k))
    folder = f"{root}/cases/{name}"

    def load(file):
        return np.load(f"{folder}/{file}.npy")

    if source == "db":
        in_database, heads, stored = load_database(f"{root}/{path}", number)
        assert in_database == temperature, f"{name}: temperature"
    else:
        heads = load_folder(f"{root}/{path}", number)
    queries, projected, weights = load("queries"), load("projected"), load("weights")
    assert queries.dtype == np.float32 and queries.shape == (n, d), f"{name}: queries"
    assert projected.shape == (n, d_out) and weights.shape == (n, count), f"{name}: shapes"
    ids = [row[0] for row in read_ids(f"{folder}/head_ids.txt")]
    assert ids == [head[0] for head in heads], f"{name}: head ids"

    scale = np.abs(projected).max(axis=1, keepdims=True)
    p, w = project(heads, queries, temperature, "f8")
    assert np.abs(w - weights).max() < 1e-11, f"{name}: weights"
    assert (np.abs(p - projected) / scale).max() < 1e-11, f"{name}: projected"

    if searches != "none":
        vectors = load("answers")
        answer_ids = [row[0] for row in read_ids(f"{folder}/answer_ids.txt")]
        assert vectors.shape == (m, d_out) and len(set(answer_ids)) == m, f"{name}: answers"
        if source == "db":
            assert sorted(stored) == sorted(answer_ids), f"{name}: stored answers"
            assert all(np.array_equal(stored[i], v) for i, v in zip(answer_ids, vectors))
        assert (searches == "both") == (d == d_out), f"{name}: searches"
        for kind, rows in (("plain", queries), ("projected", projected)):
            if kind == "plain" and searches != "both":
                continue
            best, scores = read_ids(f"{folder}/{kind}_ids.txt"), load(f"{kind}_scores")
            assert scores.shape == (n, min(k, m)), f"{name}: {kind}_scores"
            check_search(name, rows, vectors, answer_ids, best, scores)

    p, w = project(heads, queries, temperature, "f4")
    return np.abs(w - weights).max(), (np.abs(p - projected) / scale).max()


def lines(path):
    with open(path) as file:
        return [line.split() for line in file if line.strip() and not line.startswith("#")]


def check(root, verbose=False):
    """Checks every case, and that the files in bad.txt exist; returns a summary."""
    cases, worst = lines(f"{root}/cases.txt"), 0.0
    assert len({case[0] for case in cases}) == len(cases)
    assert sorted(case[0] for case in cases) == sorted(os.listdir(f"{root}/cases"))
    for case in cases:
        strays = check_case(root, case)
        if verbose:
            print("%-32s float32 parameters stray by %.1e (weights) %.1e (projected)"
                  % (case[0], *strays))
        worst = max(worst, *strays)
        assert worst < FLOAT32_BUDGET, f"{case[0]}: out of reach for float32 parameters: {strays}"
    bad = lines(f"{root}/bad.txt")
    for _, path, *_ in bad:
        assert os.path.exists(f"{root}/{path}") != path.endswith("no_such_folder"), path
    return f"{len(cases)} cases, {len(bad)} refusals; float32 parameters stray by {worst:.1e} at most"
