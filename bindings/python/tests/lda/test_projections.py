"""Linear projections."""

import numpy as np
import pytest


def test_a_matrix_comes_back_with_its_row(filled, units):
    db = filled.db
    matrix = units(5, 16, 16).astype(np.float64)
    metrics = {"num_clusters": 5, "total_queries": 18, "recall_at_1": 0.5, "mrr": 0.7, "other": 1}
    projection = db.store_projection(
        filled.model_id, filled.model_id, matrix, "mine", filled.clusters, 1.0, 1e-6, metrics
    )
    W, row = db.get_projection(projection)
    assert W.dtype == np.float32 and np.array_equal(W, matrix)
    file = filled.folder / "embeddings" / "all-MiniLM-L6-v2" / f"W_projection_{projection}.npy"
    assert row.pop("created_at")
    assert row == {
        "projection_id": projection,
        "input_model_id": filled.model_id,
        "output_model_id": filled.model_id,
        "name": "mine",
        "W_path": str(file),
        "lambda_reg": 1.0,
        "ridge": 1e-6,
        "num_clusters": 5,
        "num_queries": 18,
        "recall_at_1": 0.5,
        "mrr": 0.7,
    }
    clusters = db.conn.execute("SELECT cluster_id FROM projection_clusters").fetchall()
    assert [tuple(row) for row in clusters] == [(cluster,) for cluster in filled.clusters]
    assert db.get_projection(99) is None
    plain = db.store_projection(filled.model_id, filled.model_id, matrix)
    assert plain != projection
    _, row = db.get_projection(plain)
    assert row["name"] is row["lambda_reg"] is row["num_clusters"] is row["mrr"] is None


def test_projections_are_listed_by_the_names_of_their_models(filled, units):
    db = filled.db
    small = db.add_model("small", 8)
    first = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    second = db.store_projection(small, filled.model_id, units(1, 16, 8))

    def ids(*names, **named):
        return [row["projection_id"] for row in db.list_projections(*names, **named)]

    assert ids() == [first, second]
    assert ids("small") == [second]
    assert ids(output_model="all-MiniLM-L6-v2") == [first, second]
    assert ids("all-MiniLM-L6-v2", "small") == []
    row = db.list_projections("small")[0]
    assert (row["input_model_name"], row["output_model_name"]) == ("small", "all-MiniLM-L6-v2")
    assert np.load(row["W_path"]).shape == (16, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": np.eye(15)}, r"shape \(15, 15\), expected \(16, 16\)"),
        ({"W": np.ones(16)}, "1 dimensions"),
        ({"W": np.full((16, 16), np.nan)}, r"nan at \(0, 0\)"),
        ({"input_model_id": 9}, "Embedding model 9 not found"),
        ({"output_model_id": 9}, "Embedding model 9 not found"),
        ({"cluster_ids": [1, 99]}, "Cluster 99 not found"),
    ],
)
def test_what_is_unusable_is_refused_and_leaves_nothing(filled, change, message):
    good = {"input_model_id": 1, "output_model_id": 1, "W": np.eye(16)}
    with pytest.raises(ValueError, match=message):
        filled.db.store_projection(**{**good, **change})
    assert filled.db.list_projections() == []
    assert list(filled.folder.rglob("*W_projection*")) == []


def test_ids_of_files_that_lie_about_are_not_used_again(filled):
    db, folder = filled.db, filled.folder / "embeddings"
    (folder / "mh_1_cluster_1_centroid.npy").touch()
    (folder / "W_projection_1.npy").touch()
    (folder / "W_projection_2.npy").touch()
    assert db.create_multi_head_projection(filled.model_id) == 2
    assert db.store_projection(filled.model_id, filled.model_id, np.eye(16)) == 3
