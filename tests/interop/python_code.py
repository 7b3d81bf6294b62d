#!/usr/bin/env python3
"""Python code that uses only the store's format, and the engine, on the same store.

usage: python_code.py PROJECTION_COMMAND MODEL_FOLDER

1. The engine creates a store of the FAQ. sqlite3 and NumPy read it and compute the same numbers.
2. sqlite3 and NumPy add a projection as the existing Python code does: float64 centroids, files
   directly in embeddings/, absolute paths. The engine computes the same numbers from it.
"""

import glob
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND, MODEL = sys.argv[1], sys.argv[2]
MODEL_NAME = "all-MiniLM-L6-v2"
CHECKS = 0


def engine(*arguments):
    done = subprocess.run([COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{COMMAND} {arguments[0]} failed with status {done.returncode}")
    return done.stdout


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def project(queries, centroids, answers, temperature):
    """Projects with a multi-head projection in float64. Returns projected queries and weights."""
    scores = unit(queries.astype(np.float64)) @ unit(centroids.astype(np.float64)).T / temperature
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return weights @ answers.astype(np.float64), weights


def agree(what, found, expected):
    global CHECKS
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    if found.shape != expected.shape or not worst <= 1e-5:
        sys.exit(f"{what}: off by {worst:.2g} of the largest value, expected at most 1e-5")
    CHECKS += 1
    print(f"ok: {what} (off by {worst:.1g} at most)")


def ask_engine(folder, projection, queries):
    paths = [folder / name for name in ("queries.npy", "projected.npy", "weights.npy")]
    np.save(paths[0], queries)
    engine("project", "--db", folder / "lda.db", "--id", projection, "--input", paths[0],
           "--output", paths[1], "--weights", paths[2])
    return np.load(paths[1]), np.load(paths[2])


def heads_from_database(folder, projection):
    """Reads centroids and answers by ascending cluster id, by the paths in the database."""
    with sqlite3.connect(folder / "lda.db") as db:
        (temperature,) = db.execute(
            "SELECT temperature FROM multi_head_projections WHERE mh_projection_id = ?",
            [projection]).fetchone()
        rows = db.execute(
            "SELECT centroid_path, answer_emb_path FROM cluster_heads "
            "WHERE mh_projection_id = ? ORDER BY cluster_id", [projection]).fetchall()
    centroids, answers = ([np.load(folder / path) for path in column] for column in zip(*rows))
    return np.array(centroids), np.array(answers), temperature


def heads_from_files(folder, projection):
    """Finds heads by their file names: glob, cluster ids from names, an answer for each centroid."""
    pattern = str(folder / f"embeddings/*/mh_{projection}_cluster_*_centroid.npy")
    number = lambda path: int(re.search(r"_cluster_(\d+)_", path).group(1))
    files = sorted(glob.glob(pattern), key=number)
    centroids = [np.load(path) for path in files]
    answers = [np.load(path.replace("_centroid.npy", "_answer.npy")) for path in files]
    return np.array(centroids), np.array(answers)


def trained_centroid(questions):
    """The iteratively weighted mean of a cluster's questions."""
    weights = np.full(len(questions), 1 / len(questions))
    for _ in range(3):
        centroid = unit(weights @ questions)
        weights = np.exp(questions @ centroid)
        weights /= weights.sum()
    return centroid


def questions_by_cluster(folder):
    with sqlite3.connect(folder / "lda.db") as db:
        rows = db.execute(
            "SELECT cluster_id, vector_path FROM cluster_questions JOIN embeddings "
            "ON entity_type = 'question' AND entity_id = question_id "
            "ORDER BY cluster_id, question_id").fetchall()
    clusters = {}
    for cluster, path in rows:
        clusters.setdefault(cluster, []).append(np.load(folder / path).astype(np.float64))
    return {cluster: np.array(vectors) for cluster, vectors in clusters.items()}


def add_projection_like_python(folder, questions, answers):
    """Adds a projection of the clusters in `questions` as the existing Python code does."""
    with sqlite3.connect(folder / "lda.db") as db:
        projection = db.execute(
            "INSERT INTO multi_head_projections (model_id, name, temperature, num_heads) "
            "VALUES (1, 'by python', 0.07, ?)", [len(questions)]).lastrowid
        for (cluster, vectors), answer in zip(questions.items(), answers):
            paths = [os.path.abspath(folder / "embeddings" / f"mh_{projection}_cluster_{cluster}_{part}.npy")
                     for part in ("centroid", "answer")]
            np.save(paths[0], 3.5 * trained_centroid(vectors))
            np.save(paths[1], answer.astype(np.float32).reshape(1, -1))
            db.execute(
                "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, "
                "answer_emb_path, num_questions) VALUES (?, ?, ?, ?, ?)",
                [projection, cluster, *paths, len(vectors)])
    return projection


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        folder.mkdir()
        engine("import", folder / "lda.db", ROOT / "examples/faq/faq.json")
        engine("embed", folder / "lda.db", "--model-dir", MODEL, "--model-name", MODEL_NAME)
        engine("train", folder / "lda.db", "--method", "multi-head", "--force")
        questions = questions_by_cluster(folder)
        queries = np.concatenate(list(questions.values()))[::7].astype(np.float32)

        centroids, answers, temperature = heads_from_database(folder, 1)
        projected, weights = ask_engine(folder, 1, queries)
        expected = project(queries, centroids, answers, temperature)
        agree("projected queries, read through the database", projected, expected[0])
        agree("routing weights, read through the database", weights, expected[1])
        expected = project(queries, *heads_from_files(folder, 1), temperature)
        agree("projected queries, read by the files' names", projected, expected[0])
        trained = np.array([trained_centroid(vectors) for vectors in questions.values()])
        agree("centroids, trained again", centroids, trained)

        # The folder is moved, so that the absolute paths that Python added are wrong.
        by_python = add_projection_like_python(folder, questions, answers)
        expected = project(queries, trained, answers, 0.07)
        projected, weights = ask_engine(folder, by_python, queries)
        agree("projected queries of a projection that Python added", projected, expected[0])
        moved = folder.rename(Path(name) / "elsewhere")
        projected, weights = ask_engine(moved, by_python, queries)
        agree("the same after the folder was moved", projected, expected[0])
        agree("its weights", weights, expected[1])
    print(f"{CHECKS} passed, 0 failed")


if __name__ == "__main__":
    main()
