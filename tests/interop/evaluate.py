#!/usr/bin/env python3
"""Recomputes the numbers of `projection evaluate` on the FAQ with NumPy and sqlite3.

usage: evaluate.py PROJECTION_COMMAND MODEL_FOLDER

The engine embeds the FAQ and, in a second store, the held-out questions. This script reads the
stored vectors and computes everything else in float64, without the engine.
"""

import json
import math
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND, MODEL = sys.argv[1], sys.argv[2]
METRICS = ("recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10")
CHECKS = 0


def engine(*arguments):
    done = subprocess.run([COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{COMMAND} {arguments[0]} failed with status {done.returncode}")
    return done.stdout


def check(what, holds):
    global CHECKS
    if not holds:
        sys.exit(f"failed: {what}")
    CHECKS += 1


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def store_of(folder, file):
    folder.mkdir()
    engine("import", folder / "lda.db", file)
    engine("embed", folder / "lda.db", "--model-dir", MODEL)
    return folder


def read(folder):
    """Returns rows and vectors of answers, and rows and vectors of questions."""
    with sqlite3.connect(folder / "lda.db") as db:
        vectors = {(kind, number): np.load(folder / path).astype(np.float64) for kind, number, path
                   in db.execute("SELECT entity_type, entity_id, vector_path FROM embeddings")}
        answers = db.execute("SELECT answer_id, record_id, text FROM answers ORDER BY 1").fetchall()
        questions = db.execute(
            "SELECT question_id, text, answer_id FROM questions JOIN cluster_questions "
            "USING (question_id) JOIN cluster_answers USING (cluster_id) "
            "ORDER BY cluster_id, question_id").fetchall()
    return (answers, np.array([vectors["answer", row[0]] for row in answers]),
            questions, np.array([vectors["question", row[0]] for row in questions]))


def centroid(questions):
    weights = np.full(len(questions), 1 / len(questions))
    for _ in range(3):
        mean = unit(weights @ questions)
        weights = np.exp(questions @ mean)
        weights /= weights.sum()
    return mean


def bm25(texts, questions):
    """Okapi BM25 as SQLite documents it: k1 = 1.2, b = 0.75."""
    words = lambda text: re.findall(r"[^\W_]+", text.lower())
    documents = [words(text) for text in texts]
    mean = np.mean([len(document) for document in documents])
    scores = np.zeros((len(questions), len(texts)))
    for row, question in enumerate(questions):
        for word in set(words(question)):
            frequency = np.array([document.count(word) for document in documents])
            having = (frequency > 0).sum()
            weight = max(math.log((len(texts) - having + 0.5) / (having + 0.5)), 1e-6)
            length = np.array([len(document) for document in documents]) / mean
            scores[row] += weight * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length))
    return scores


def ranks(scores, labels):
    own = scores[np.arange(len(labels)), labels]
    # In single precision, as in the engine, so that ties are the same.
    rank = 1 + (np.float32(scores) > np.float32(own)[:, None]).sum(1)
    return np.where(np.isfinite(own), rank, 10**9)


def metrics(rank):
    top = np.where(rank <= 10, rank, np.inf)
    return [(rank <= 1).mean(), (rank <= 5).mean(), (1 / top).mean(),
            np.where(rank <= 10, 1 / np.log2(1.0 + np.where(rank <= 10, rank, 1)), 0).mean()]


def mcnemar(gained, lost):
    n, k = gained + lost, min(gained, lost)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def compare(name, protocol, rank, cosine):
    (found,) = (method for method in protocol["methods"] if method["method"] == name)
    number = protocol["methods"].index(found)
    theirs = np.array([question["ranks"][number] or 10**9
                       for question in protocol["details"]["questions"]])
    check(f"{name}: ranks of all questions, {np.flatnonzero(theirs != rank)} differ",
          (theirs == rank).all())
    for metric, expected in zip(METRICS, metrics(rank)):
        value = found["all"][metric]
        check(f"{name}: {metric} {value['value']}, expected {expected}",
              abs(value["value"] - expected) < 1e-9)
        contributions = np.array([metrics(np.array([r]))[METRICS.index(metric)] for r in rank])
        draws = np.random.default_rng(1).choice(contributions, (4000, len(rank))).mean(1)
        low, high = np.percentile(draws, [2.5, 97.5])
        check(f"{name}: interval of {metric}: {value['low']} to {value['high']}, "
              f"by NumPy {low} to {high}",
              abs(value["low"] - low) < 0.025 and abs(value["high"] - high) < 0.025)
    gained, lost = (((a == 1) & (b != 1)).sum() for a, b in ((rank, cosine), (cosine, rank)))
    check(f"{name}: gained and lost", (found["all"]["gained"], found["all"]["lost"]) == (gained, lost))
    check(f"{name}: p", abs(found["all"]["p_against_cosine"] - mcnemar(gained, lost)) < 1e-9)
    print(f"ok: {name}: recall@1 {100 * metrics(rank)[0]:.1f} %")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = store_of(folder / "store", ROOT / "examples/faq/faq.json")
        held = store_of(folder / "held", ROOT / "examples/faq/faq_test.json")
        made = json.loads(engine("train", store / "lda.db", "--json", "--method", "multi-head",
                                 "--force", "--temperature", "0.05"))
        report = json.loads(engine(
            "evaluate", store / "lda.db", "--json", "--details", "--model-dir", MODEL,
            "--test", ROOT / "examples/faq/faq_test.json"))

        answers, vectors, trained, training = read(store)
        held_answers, _, questions, queries = read(held)
        row_of_text = {text: row for row, (_, _, text) in enumerate(answers)}
        text_of_id = {number: text for number, _, text in held_answers}
        labels = np.array([row_of_text[text_of_id[answer]] for _, _, answer in questions])
        row_of_id = {number: row for row, (number, _, _) in enumerate(answers)}
        training_labels = np.array([row_of_id[answer] for _, _, answer in trained])

        a, q, t = unit(vectors), unit(queries), unit(training)
        cosines = q @ a.T
        cosine = ranks(cosines, labels)
        nearest = np.full_like(cosines, -np.inf)
        np.maximum.at(nearest.T, training_labels, (q @ t.T).T)
        words = bm25([text for _, _, text in answers], [text for _, text, _ in questions])
        heads = np.array([centroid(t[training_labels == row]) for row in range(len(a))])

        def multi_head(temperature):
            weights = np.exp((q @ heads.T - 1) / temperature)
            return unit(weights / weights.sum(1, keepdims=True) @ vectors) @ a.T

        own = multi_head(0.05)
        weight = made["hybrid_weight"]
        fused = ((1 - weight) * (own + 1) / (own.max(1, keepdims=True) + 1)
                 + weight * words / np.maximum(words.max(1, keepdims=True), 1e-30))
        (protocol,) = report["protocols"]
        check("numbers of questions", protocol["questions"] == len(labels) == 100)
        compare("cosine", protocol, cosine, cosine)
        compare("BM25", protocol, ranks(np.where(words > 0, words, -np.inf), labels), cosine)
        compare("nearest question", protocol, ranks(nearest, labels), cosine)
        compare("max(cosine, nearest question)", protocol,
                ranks(np.maximum(nearest, cosines), labels), cosine)
        compare("multi-head, τ = 0.1", protocol, ranks(multi_head(0.1), labels), cosine)
        compare("projection 1 (multi_head)", protocol, ranks(own, labels), cosine)
        compare(f"projection 1 + BM25 at {weight:g}", protocol, ranks(fused, labels), cosine)
    print(f"{CHECKS} passed, 0 failed")


if __name__ == "__main__":
    main()
