"""Checks kinds.txt with a second implementation, as `verify` does for cases.txt."""

import json
import os

import numpy as np

from .verify import check_search, lines, load_folder, read_ids


def unit(x):
    x = x.astype("f8")
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def residual(folder, number, meta, tau, queries):
    """The projection in the form of matrices: each rotation is made and applied."""
    stem, q = f"{folder}/mh_{number}", unit(queries)
    delta, weights = np.zeros_like(q), None
    try:
        heads = load_folder(folder, number)
    except AssertionError:
        heads = []
    if heads:
        rows = [np.load(f"{stem}_cluster_{n}_questions.npy") for n, *_ in heads]
        keys = unit(np.concatenate(rows))
        head = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        answers = unit(np.stack([a.reshape(-1) for _, _, a, _ in heads]))
        if "answer_angle" in meta:
            goals = [unit(unit(r).sum(axis=0)) for r in rows]
            answers = np.stack([turned(a, g, meta["answer_angle"]) for a, g in zip(answers, goals)])
        weights = np.zeros((len(q), len(rows)))
        # Rounded, so that the same question ties with itself at another length.
        sims = np.round(q @ keys.T, 13)
        k = min(meta["neighbours"], len(keys) - 1)
        for i, row in enumerate(sims):
            order = np.argsort(-row, kind="stable")[: k + 1]
            e = np.exp((row[order] - row[order[0]]) / tau)
            w = e[:k] - e[k]
            if w.sum() <= 1e-9:
                np.add.at(weights[i], head[order], 1 / (k + 1))
                continue
            w /= w.sum()
            np.add.at(weights[i], head[order[:k]], w)
            for j, share in zip(order, w):
                c, a = keys[j], answers[head[j]]
                if meta["rotation"]:
                    delta[i] += share * (rotate(c, a, q[i]) - q[i])
    if meta["adapter"]:
        delta = delta + q @ np.load(f"{stem}_adapter.npy").astype("f8")
    return unit(q + meta["gain"] * delta), weights


def turned(a, goal, angle):
    """On the way from a to the goal along the circle, at most so far."""
    whole = np.arccos(np.clip(a @ goal, -1, 1))
    share = min(angle / whole, 1)
    return (np.sin((1 - share) * whole) * a + np.sin(share * whole) * goal) / np.sin(whole)


def rotate(c, a, q):
    """R q with R = I + (K + K²/(1 + c·a)), K = a cᵀ − c aᵀ."""
    K = np.outer(a, c) - np.outer(c, a)
    # For a question opposite to its answer, the formula's limit at the clamp.
    if 1 + c @ a < 1e-6:
        return q + 2 * (c @ q) * a - ((c + a) @ q) / 1e-6 * (a + c)
    return q + K @ q + K @ (K @ q) / (1 + c @ a)


def top_k(folder, number, meta, tau, queries):
    heads = load_folder(folder, number)
    scores = unit(queries) @ unit(np.stack([c.reshape(-1) for _, c, _, _ in heads])).T
    weights = np.zeros_like(scores)
    for i, row in enumerate(np.round(scores, 13)):
        best = np.argsort(-row, kind="stable")[: meta["top_k"]]
        e = np.exp((row[best] - row[best[0]]) / tau)
        weights[i, best] = e / e.sum()
    return weights @ np.stack([a.reshape(-1) for _, _, a, _ in heads]).astype("f8"), weights


def check_case(root, columns):
    name, kind, path, number, temperature, d, d_out, count, n, m, k, searches = columns
    d, d_out, count, n, m, k = map(int, (d, d_out, count, n, m, k))
    folder, model = f"{root}/kinds/{name}", f"{root}/{path}"

    def load(file):
        return np.load(f"{folder}/{file}.npy")

    queries, projected = load("queries"), load("projected")
    assert queries.shape == (n, d) and projected.shape == (n, d_out), f"{name}: shapes"
    if kind == "linear":
        W = np.load(f"{model}/W_projection_{number}.npy").astype("f8")
        p, w = queries.astype("f8") @ W.T, None
    else:
        with open(f"{model}/mh_{number}_model.json") as file:
            meta = json.load(file)
        tau = meta["temperature"] if temperature == "-" else float(temperature)
        p, w = (residual if kind == "residual" else top_k)(model, int(number), meta, tau, queries)
    scale = np.abs(projected).max(axis=1, keepdims=True)
    assert (np.abs(p - projected) / scale).max() < 1e-9, f"{name}: projected"
    assert (w is not None) == (count > 0), f"{name}: heads"
    if count:
        assert np.abs(w - load("weights")).max() < 1e-9, f"{name}: weights"
        assert np.abs(w.sum(axis=1) - 1).max() < 1e-9, f"{name}: sum of weights"
    vectors, ids = load("answers"), [row[0] for row in read_ids(f"{folder}/answer_ids.txt")]
    assert vectors.shape == (m, d_out), f"{name}: answers"
    for kind, rows in (("plain", queries), ("projected", projected)):
        if kind == "projected" or searches == "both":
            best, scores = read_ids(f"{folder}/{kind}_ids.txt"), load(f"{kind}_scores")
            assert scores.shape == (n, min(k, m)), f"{name}: {kind}_scores"
            check_search(name, rows, vectors, ids, best, scores)


def check(root):
    cases = lines(f"{root}/kinds.txt")
    assert sorted(case[0] for case in cases) == sorted(os.listdir(f"{root}/kinds"))
    for case in cases:
        check_case(root, case)
    return f"{len(cases)} cases of the other kinds"
