"""Multi-head projections."""

import os
import sqlite3

import numpy as np
import pytest


def test_a_projection_and_its_heads_come_back(filled):
    db = filled.db
    mh_id = db.create_multi_head_projection(filled.model_id, "mine", temperature=0.1)
    row = db.get_multi_head_projection(mh_id)
    assert row.pop("created_at")
    assert row == {
        "mh_projection_id": mh_id,
        "model_id": filled.model_id,
        "name": "mine",
        "temperature": 0.1,
        "num_heads": 0,
        "recall_at_1": None,
        "mrr": None,
    }
    head = db.add_cluster_head(mh_id, filled.clusters[1], filled.centroid(1), filled.answers[1], num_questions=3)
    assert db.get_multi_head_projection(mh_id)["num_heads"] == 1
    [row] = db.get_cluster_heads(mh_id)
    folder = filled.folder / "embeddings" / "all-MiniLM-L6-v2"
    name = f"mh_{mh_id}_cluster_{filled.clusters[1]}"
    assert row.pop("created_at")
    assert row == {
        "head_id": head,
        "mh_projection_id": mh_id,
        "cluster_id": filled.clusters[1],
        "centroid_path": str(folder / f"{name}_centroid.npy"),
        "answer_emb_path": str(folder / f"{name}_answer.npy"),
        "W_path": None,
        "num_questions": 3,
        "cluster_name": "cluster 1",
    }
    assert np.load(row["centroid_path"]).dtype == np.float32
    assert db.get_multi_head_projection(99) is None and db.get_cluster_heads(99) == []
    assert db.get_multi_head_projection(db.create_multi_head_projection(filled.model_id))["temperature"] == 1.0


def test_ids_of_heads_and_of_matrices_are_counted_apart(filled, engine):
    """As in existing stores, whose scripts ask for multi-head projection 1."""
    db, query = filled.db, filled.questions[0, 0]
    linear = [db.store_projection(filled.model_id, filled.model_id, np.eye(16)) for _ in range(2)]
    assert (linear, filled.train(), filled.train()) == ([1, 2], 1, 2)
    assert db.get_multi_head_projection(1)["name"] == "trained"
    heads, matrix = db.multi_head_search(query, 1), db.search(query, 1)
    assert heads[0]["routing_weights"] and "routing_weights" not in matrix[0]
    cosine = (filled.answers @ query).max() / np.linalg.norm(query)
    assert matrix[0]["score"] == pytest.approx(float(cosine), abs=1e-6)
    assert "no problems found" in engine("inspect", filled.folder / "lda.db")


def test_heads_are_in_the_order_of_their_clusters(filled):
    db = filled.db
    mh_id = db.create_multi_head_projection(filled.model_id)
    for number in (4, 0, 2):
        db.add_cluster_head(mh_id, filled.clusters[number], filled.centroid(number), filled.answers[number])
    assert [row["cluster_id"] for row in db.get_cluster_heads(mh_id)] == [
        filled.clusters[number] for number in (0, 2, 4)
    ]
    centroids, answers, ids, matrices = db.load_multi_head_data(mh_id)
    assert ids == [filled.clusters[number] for number in (0, 2, 4)] and matrices is None
    assert np.array_equal(answers, filled.answers[[0, 2, 4]])
    assert np.allclose(centroids, [filled.centroid(number) for number in (0, 2, 4)], atol=1e-7)


def test_heads_may_have_matrices(filled, units):
    db = filled.db
    matrix = units(3, 16, 16)
    mh_id = db.create_multi_head_projection(filled.model_id)
    db.add_cluster_head(mh_id, filled.clusters[0], filled.centroid(0), filled.answers[0])
    db.add_cluster_head(mh_id, filled.clusters[1], filled.centroid(1), filled.answers[1], W=matrix)
    _, _, _, matrices = db.load_multi_head_data(mh_id)
    assert matrices[0] is None and np.array_equal(matrices[1], matrix)
    assert np.array_equal(np.load(db.get_cluster_heads(mh_id)[1]["W_path"]), matrix)


def test_a_projection_without_heads_has_empty_data(filled):
    mh_id = filled.db.create_multi_head_projection(filled.model_id)
    centroids, answers, ids, matrices = filled.db.load_multi_head_data(mh_id)
    assert centroids.size == answers.size == 0 and ids == [] and matrices is None


def test_a_second_head_of_a_cluster_is_refused_and_the_first_one_stays(filled):
    mh_id = filled.train()
    with pytest.raises(sqlite3.IntegrityError):
        filled.db.add_cluster_head(mh_id, filled.clusters[0], filled.centroid(1), filled.answers[1])
    centroids, answers, _, _ = filled.db.load_multi_head_data(mh_id)
    assert np.array_equal(answers[0], filled.answers[0])
    assert filled.db.get_multi_head_projection(mh_id)["num_heads"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mh_projection_id": 99}, "Multi-head projection 99 not found"),
        ({"cluster_id": 99}, "Cluster 99 not found"),
        ({"centroid": np.ones(15)}, "centroid has 15 values, expected 16"),
        ({"centroid": np.zeros(16)}, "centroid is zero"),
        ({"answer_emb": np.full(16, np.nan)}, "answer_emb holds nan at 0"),
        ({"W": np.ones((16, 15))}, r"W has the shape \(16, 15\), expected \(16, 16\)"),
    ],
)
def test_what_is_unusable_is_refused_and_leaves_nothing(filled, change, message):
    mh_id = filled.db.create_multi_head_projection(filled.model_id)
    good = {
        "mh_projection_id": mh_id,
        "cluster_id": 1,
        "centroid": filled.centroid(0),
        "answer_emb": filled.answers[0],
    }
    with pytest.raises(ValueError, match=message):
        filled.db.add_cluster_head(**{**good, **change})
    assert filled.db.get_cluster_heads(mh_id) == []
    assert filled.db.get_multi_head_projection(mh_id)["num_heads"] == 0
    names = os.listdir(filled.folder / "embeddings" / "all-MiniLM-L6-v2")
    assert [name for name in names if "mh_" in name] == []


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_temperatures_are_above_zero(filled, temperature):
    with pytest.raises(ValueError, match="temperature"):
        filled.db.create_multi_head_projection(filled.model_id, temperature=temperature)
    with pytest.raises(ValueError, match="Embedding model 9"):
        filled.db.create_multi_head_projection(9)


def test_metrics_are_recorded_one_by_one(filled):
    db = filled.db
    mh_id = filled.train()
    db.update_multi_head_metrics(mh_id, recall_at_1=0.5)
    db.update_multi_head_metrics(mh_id, mrr=np.float64(0.75))
    row = db.get_multi_head_projection(mh_id)
    assert (row["recall_at_1"], row["mrr"]) == (0.5, 0.75)
    with pytest.raises(ValueError, match="99 not found"):
        db.update_multi_head_metrics(99, mrr=1.0)


def test_a_residual_projection_takes_no_heads(filled, engine):
    database = filled.folder / "lda.db"
    engine("train", database, "--method", "residual", "--force")
    [mh_id] = [row[0] for row in filled.db.conn.execute("SELECT mh_projection_id FROM multi_head_projections")]
    with pytest.raises(ValueError, match="residual"):
        filled.db.add_cluster_head(mh_id, 1, filled.centroid(0), filled.answers[0])
