"""Embedding models and vectors."""

import os

import numpy as np
import pytest


def test_an_embedding_model_is_registered_once(db):
    model = db.add_model("m", 4, "onnx", 256, "small")
    assert db.get_model("m") == db.get_model_by_id(model)
    assert db.get_model("m") == {
        "model_id": model,
        "name": "m",
        "dimension": 4,
        "backend": "onnx",
        "max_tokens": 256,
        "notes": "small",
    }
    assert db.add_model("m", 4) == model
    assert db.get_model("m")["backend"] == "onnx"
    with pytest.raises(ValueError, match="registered with dimension 4, not 5"):
        db.add_model("m", 5)
    with pytest.raises(ValueError, match="dimension is 0"):
        db.add_model("n", 0)
    assert db.get_model("n") is None and db.get_model_by_id(9) is None


@pytest.mark.parametrize("kind", [list, np.float64, np.float32, np.float16, "strided", "row"])
def test_a_vector_is_kept_as_float32_under_its_name(db, tmp_path, kind):
    model, answer = db.add_model("org/m", 3), db.add_answer("a.md", "a")
    values = [0.5, -0.25, 2.0]
    vector = {
        list: lambda: values,
        "strided": lambda: np.repeat(values, 2)[::2],
        "row": lambda: np.array([values]),
    }.get(kind, lambda: np.array(values, kind))()
    assert db.store_embedding(model, "answer", answer, vector) > 0
    [file] = (tmp_path / "embeddings" / "org_m").glob(f"answer_{answer}_model_{model}_*.npy")
    stored = np.load(file)
    assert stored.dtype == np.float32 and stored.shape == (3,) and stored.tolist() == values
    assert db.get_embedding(model, "answer", answer).tolist() == values
    path = db.conn.execute("SELECT vector_path FROM embeddings").fetchone()[0]
    assert path == f"embeddings/org_m/{file.name}"
    assert sorted(os.listdir(file.parent)) == [file.name]


def test_what_has_no_vector_is_none(db):
    model = db.add_model("m", 3)
    assert db.get_embedding(model, "answer", 1) is None
    assert db.get_embedding(9, "question", 1) is None
    ids, vectors = db.get_all_answer_embeddings(model)
    assert ids == [] and vectors.size == 0


def test_a_new_vector_takes_the_place_of_the_old_one(db):
    model, question = db.add_model("m", 2), db.add_question("a?")
    first = db.store_embedding(model, "question", question, [1, 0])
    assert db.store_embedding(model, "question", question, [0, 1]) == first
    assert db.get_embedding(model, "question", question).tolist() == [0, 1]
    assert db.get_stats()["num_embeddings"] == 1


def test_the_file_of_an_old_layout_goes_when_it_is_replaced(db, tmp_path):
    model, answer = db.add_model("m", 2), db.add_answer("a.md", "a")
    old = tmp_path / "embeddings" / "answer_1_model_1.npy"
    np.save(old, np.array([3.0, 4.0]))
    db.conn.execute(
        "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) VALUES (?, ?, ?, ?)",
        (model, "answer", answer, str(old)),
    )
    db.conn.commit()
    assert db.get_embedding(model, "answer", answer).tolist() == [3, 4]
    assert db.get_embedding(model, "answer", answer).dtype == np.float64
    db.store_embedding(model, "answer", answer, [1, 0])
    assert not old.exists()
    assert db.get_embedding(model, "answer", answer).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0, 2.0], "answer 1 has 2 values, expected 3"),
        ([[1.0, 2.0, 3.0]] * 2, "shape"),
        ([1.0, float("nan"), 3.0], "nan at 1"),
        ([1.0, 2.0, float("inf")], "inf at 2"),
        ([1e300, 0.0, 0.0], "inf at 0"),
        ([0.0, 0.0, 0.0], "zero"),
        (["a", "b", "c"], "dtype"),
        (np.array([1, 2, 3], object), "dtype"),
        (np.array([1j, 2, 3]), "dtype"),
        (3.0, "0 dimensions"),
    ],
)
def test_vectors_that_are_unusable_are_refused_and_leave_nothing(db, tmp_path, vector, message):
    model, answer = db.add_model("m", 3), db.add_answer("a.md", "a")
    with pytest.raises(ValueError, match=message):
        db.store_embedding(model, "answer", answer, vector)
    assert db.get_embedding(model, "answer", answer) is None
    assert [path for path in tmp_path.rglob("*") if path.name.endswith((".npy", ".tmp"))] == []


def test_unknown_models_and_texts_are_refused(db):
    model, answer = db.add_model("m", 2), db.add_answer("a.md", "a")
    with pytest.raises(ValueError, match="Embedding model 9 not found"):
        db.store_embedding(9, "answer", answer, [1, 0])
    with pytest.raises(ValueError, match="Answer 9 not found"):
        db.store_embedding(model, "answer", 9, [1, 0])
    with pytest.raises(ValueError, match="Question 1 not found"):
        db.store_embedding(model, "question", 1, [1, 0])
    with pytest.raises(ValueError, match="'../answer'"):
        db.store_embedding(model, "../answer", answer, [1, 0])


def test_a_batch_is_stored_as_a_whole_or_not_at_all(db, tmp_path):
    model = db.add_model("m", 2)
    answers = [db.add_answer("a.md", str(n)) for n in range(40)]
    with pytest.raises(ValueError, match="answer 40 is zero"):
        db.embed_and_store_batch(model, "answer", [(a, [a, 1] if a < 40 else [0, 0]) for a in answers])
    assert db.get_stats()["num_embeddings"] == 0
    assert list((tmp_path / "embeddings").rglob("*.*")) == []
    assert db.embed_and_store_batch(model, "answer", ((a, [a, 1]) for a in reversed(answers))) == 40
    ids, vectors = db.get_all_answer_embeddings(model)
    assert ids == answers and vectors.dtype == np.float32
    assert vectors.tolist() == [[a, 1] for a in answers]
    assert db.embed_and_store_batch(model, "answer", []) == 0


def test_the_vectors_of_a_cluster(filled):
    answers, questions = filled.db.get_cluster_embeddings(filled.clusters[2], filled.model_id)
    assert np.array_equal(answers, filled.answers[2:3])
    assert np.array_equal(questions, filled.questions[2])
    assert filled.db.get_cluster_embeddings(99, filled.model_id) == ([], [])
    assert filled.db.get_cluster_embeddings(filled.clusters[2], 99) == ([], [])


def test_a_missing_file_is_named(filled):
    for file in filled.folder.rglob("answer_1_model_1_*.npy"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="answer_1_model_1_"):
        filled.db.get_embedding(filled.model_id, "answer", 1)
    with pytest.raises(FileNotFoundError, match="answer_1_model_1_"):
        filled.db.get_all_answer_embeddings(filled.model_id)


def test_a_pickled_array_is_not_unpickled(filled):
    [file] = filled.folder.rglob("answer_1_model_1_*.npy")
    np.save(file, np.array([print, 1], object), allow_pickle=True)
    with pytest.raises(ValueError, match="answer_1_model_1_"):
        filled.db.get_embedding(filled.model_id, "answer", 1)


def test_a_path_that_leads_outside_is_refused(filled, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.npy"
    np.save(outside, np.ones(16))
    filled.db.conn.execute("UPDATE embeddings SET vector_path = ?", (str(outside),))
    with pytest.raises(ValueError, match="outside the store's folder"):
        filled.db.get_embedding(filled.model_id, "answer", 1)
