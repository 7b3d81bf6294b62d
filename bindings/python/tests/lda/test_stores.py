"""Stores made here and opened by the engine, made by the engine and opened here, and stores with the
layouts of existing programs."""

import json
import os
import shutil
import sqlite3

import numpy as np
import pytest

from lda_database import LDAProjectionDB
from unifyweaver_projection import Model, MultiHeadProjection


def test_a_new_store_has_every_table_and_the_engine_finds_nothing_wrong(tmp_path, engine):
    database = tmp_path / "deep" / "er" / "lda.db"
    with LDAProjectionDB(str(database)) as db:
        assert db.db_path == str(database)
        assert db.embeddings_dir == str(database.parent / "embeddings")
        assert (database.parent / "embeddings").is_dir()
        assert set(db.get_stats().values()) == {0}
        assert db.SCHEMA_VERSION == 1
        assert db.conn.execute("PRAGMA user_version").fetchone()[0] == 1
    assert json.loads(engine("inspect", database, "--json"))["problems"] == []


def test_what_is_written_here_the_engine_inspects_trains_and_projects(filled, engine, tmp_path):
    database = filled.folder / "lda.db"
    mh_id = filled.train(temperature=0.2)
    filled.db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    assert json.loads(engine("inspect", database, "--json"))["problems"] == []

    queries = filled.questions.reshape(-1, 16)
    np.save(tmp_path / "queries.npy", queries)
    engine("project", "--db", database, "--id", mh_id, "--input", tmp_path / "queries.npy",
           "--output", tmp_path / "projected.npy", "--weights", tmp_path / "weights.npy")
    weights = np.load(tmp_path / "weights.npy")
    model = Model.open(database, mh_id)
    assert np.array_equal(model.project(queries, return_weights=True)[1], weights)
    for query, expected in zip(queries, weights):
        row = filled.db.multi_head_search(query, mh_id, 1)[0]
        assert np.allclose(list(row["routing_weights"].values()), expected, rtol=1e-5, atol=0)

    engine("train", database, "--method", "multi-head", "--temperature", "0.2")
    trained = [row["mh_projection_id"] for row in filled.db._rows("SELECT * FROM multi_head_projections")]
    assert len(trained) == 2
    heads = filled.db.get_cluster_heads(trained[1])
    assert [row["cluster_id"] for row in heads] == filled.clusters
    _, answers, _, _ = filled.db.load_multi_head_data(trained[1])
    assert np.array_equal(answers, filled.answers)
    assert json.loads(engine("inspect", database, "--json"))["problems"] == []


def test_a_store_of_the_engine_is_listed_and_searched_here(tmp_path, engine, template):
    for name, array in {
        "A": template.answers,
        "Q": template.questions.reshape(-1, 16),
        "L": np.repeat(np.arange(6), 3),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    database = tmp_path / "lda.db"
    engine("import-embeddings", database, "--model-name", "mine", "--answers", tmp_path / "A.npy",
           "--questions", tmp_path / "Q.npy", "--labels", tmp_path / "L.npy")
    engine("train", database, "--method", "multi-head", "--temperature", "0.2")
    engine("train", database, "--method", "linear", "--force")
    with LDAProjectionDB(database) as db:
        stats = db.get_stats()
        assert (stats["num_answers"], stats["num_questions"], stats["num_clusters"]) == (6, 18, 6)
        assert stats["num_embeddings"] == 24 and stats["num_projections"] == 1
        model = db.get_model("mine")["model_id"]
        ids, vectors = db.get_all_answer_embeddings(model)
        assert np.array_equal(vectors, template.answers)
        cluster = db.get_cluster(db.list_clusters()[3]["cluster_id"])
        assert len(cluster["questions"]) == 3 and len(cluster["answers"]) == 1
        assert len(db.get_questions_for_answer(cluster["answers"][0]["answer_id"])) == 3
        _, asked = db.get_cluster_embeddings(cluster["cluster_id"], model)
        assert np.array_equal(asked, template.questions[3])
        assert db.get_multi_head_projection(1)["num_heads"] == 6
        query = template.questions[4, 0]
        assert db.multi_head_search(query, 1)[0]["answer_id"] == ids[4]
        [linear] = db.list_projections()
        W, row = db.get_projection(linear["projection_id"])
        assert W.shape == (16, 16) and row["num_queries"] == 18
        projected = W @ query
        best = int(np.argmax(template.answers @ projected))
        assert db.search(query, linear["projection_id"])[0]["answer_id"] == ids[best]


def make_old(folder, template, temperature=0.07):
    """Files as the existing Python code writes them: arrays directly in embeddings/, float64
    centroids that do not have unit length, answers as one row, absolute paths."""
    with LDAProjectionDB(folder / "lda.db") as db:
        pass
    connection = sqlite3.connect(folder / "lda.db")
    connection.execute("PRAGMA user_version = 0")
    connection.execute("INSERT INTO embedding_models (name, dimension) VALUES ('m', 16)")
    connection.execute(
        "INSERT INTO multi_head_projections (model_id, temperature, num_heads) VALUES (1, ?, 6)",
        (temperature,),
    )
    for number in range(6):
        cluster = number + 7  # 10 comes after 9.
        connection.execute("INSERT INTO qa_clusters (cluster_id, name) VALUES (?, 'c')", (cluster,))
        connection.execute("INSERT INTO answers (source_file, text) VALUES ('a.md', ?)", (f"a{number}",))
        paths = [
            folder / "embeddings" / name
            for name in (
                f"answer_{number + 1}_model_1.npy",
                f"mh_1_cluster_{cluster}_centroid.npy",
                f"mh_1_cluster_{cluster}_answer.npy",
            )
        ]
        np.save(paths[0], template.answers[number])
        np.save(paths[1], 3.5 * template.centroid(number).astype(np.float64))
        np.save(paths[2], template.answers[number].reshape(1, -1))
        connection.execute(
            "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) "
            "VALUES (1, 'answer', ?, ?)",
            (number + 1, str(paths[0])),
        )
        connection.execute(
            "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, "
            "answer_emb_path) VALUES (1, ?, ?, ?)",
            (cluster, str(paths[1]), str(paths[2])),
        )
    connection.commit()
    connection.close()


@pytest.mark.parametrize("moved", [False, True])
def test_a_store_of_the_existing_code_is_searched_also_where_it_was_moved(tmp_path, template, moved):
    folder = tmp_path / "store"
    folder.mkdir()
    make_old(folder, template)
    if moved:
        folder = folder.rename(tmp_path / "elsewhere")
    with LDAProjectionDB(folder / "lda.db") as db:
        heads = db.get_cluster_heads(1)
        assert [row["cluster_id"] for row in heads] == [7, 8, 9, 10, 11, 12]
        assert np.load(heads[0]["centroid_path"]).dtype == np.float64
        centroids, answers, ids, matrices = db.load_multi_head_data(1)
        assert centroids.shape == answers.shape == (6, 16) and ids[-1] == 12 and matrices is None
        query = template.questions[5, 1]
        rows = db.multi_head_search(query, 1)
        expected = MultiHeadProjection.load_unified(folder / "embeddings", 1, 0.07)
        _, weights = expected.project(query, return_weights=True)
        assert list(rows[0]["routing_weights"].values()) == weights.tolist()
        assert rows[0]["answer_id"] == 6
        # New arrays go into the folder of the embedding model; old and new ones are found.
        new = db.add_answer("a.md", "new")
        db.store_embedding(1, "answer", new, template.answers[0])
        assert len(list((folder / "embeddings" / "m").glob(f"answer_{new}_model_1_*.npy"))) == 1
        assert len(db.multi_head_search(query, 1, 10)) == 7


def test_two_databases_in_one_folder_share_no_file(tmp_path):
    rows = np.eye(2, dtype=np.float32)
    stores = [LDAProjectionDB(tmp_path / name) for name in ("a.db", "b.db")]
    for db, row in zip(stores, rows):
        model, answer, question = db.add_model("m", 2), db.add_answer("a.md", "a"), db.add_question("q")
        db.store_embedding(model, "answer", answer, row)
        db.store_embedding(model, "question", question, row)
        db.create_cluster("c", [answer], [question])
        assert db.create_multi_head_projection(model) == 1  # Neither has files yet.
    stores[0].add_cluster_head(1, 1, rows[0], rows[0])
    with pytest.raises(ValueError, match="files of a projection 1 that is not this store's"):
        stores[1].add_cluster_head(1, 1, rows[1], rows[1])
    assert stores[1].create_multi_head_projection(1) == 2
    stores[1].add_cluster_head(2, 1, rows[1], rows[1])
    shutil.copy(tmp_path / "a.db", tmp_path / "copy.db")
    stores[0].store_embedding(1, "answer", 1, [-1, 0])
    for db, row in zip((LDAProjectionDB(tmp_path / "copy.db"), stores[1]), rows):
        assert db.get_embedding(1, "answer", 1).tolist() == row.tolist()
    assert stores[0].get_embedding(1, "answer", 1).tolist() == [-1, 0]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_linked_database_has_its_arrays_beside_it(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "lda.db").symlink_to("../lda.db")
    with LDAProjectionDB(tmp_path / "app" / "lda.db") as db:
        model, answer = db.add_model("m", 2), db.add_answer("a.md", "a")
        db.store_embedding(model, "answer", answer, [1, 0])
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["lda.db"]
    with LDAProjectionDB(tmp_path / "lda.db") as db:
        assert db.get_embedding(model, "answer", answer).tolist() == [1, 0]


def test_values_of_another_type_than_the_columns_are_refused(tmp_path):
    with LDAProjectionDB(tmp_path / "lda.db") as db:
        db.add_answer("a.md", "a")
        for wrong in (
            lambda: db.add_answer("a.md", b"bytes"),
            lambda: db.add_answer("a.md", "a", chunk_index="first"),
            lambda: db.add_question(np.array([1, 2])),
            lambda: db.conn.execute("INSERT INTO questions (text) VALUES (?)", (b"q",)),
            lambda: db.conn.execute("UPDATE answers SET text = ?", (memoryview(b"a"),)),
        ):
            with pytest.raises((TypeError, sqlite3.IntegrityError), match="expected"):
                wrong()
            db.conn.rollback()
        assert [row["text"] for row in db.find_answers()] == ["a"] and db.get_stats()["num_questions"] == 0


def test_a_database_of_an_early_program_gets_the_tables_that_it_lacks(tmp_path):
    with LDAProjectionDB(tmp_path / "lda.db") as db:
        db.add_answer("a.md", "kept")
        for table in ("cluster_heads", "multi_head_projections"):
            db.conn.execute(f"DROP TABLE {table}")
    with LDAProjectionDB(tmp_path / "lda.db") as db:
        assert db.get_answer(1)["text"] == "kept"
        assert db.create_multi_head_projection(db.add_model("m", 2)) == 1


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(ValueError, match="text.db"):
        LDAProjectionDB(tmp_path / "text.db")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE places (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match="not a projection store"):
        LDAProjectionDB(tmp_path / "other.db")
    with pytest.raises(ValueError, match=":memory:"):
        LDAProjectionDB(":memory:")
    with pytest.raises(OSError):
        LDAProjectionDB(tmp_path / "text.db" / "lda.db")


def test_arrays_may_go_into_a_folder_of_ones_own(tmp_path, fill_store, template):
    store, arrays = tmp_path / "store", tmp_path / "arrays"
    filled = fill_store(store, embeddings_dir=str(arrays))
    with filled.db as db:
        assert db.embeddings_dir == str(arrays)
        mh_id = filled.train(temperature=0.2)
        linear = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
        assert (arrays / f"mh_{mh_id}_cluster_1_centroid.npy").is_file()
        assert not (store / "embeddings").exists()
        assert np.array_equal(db.get_all_answer_embeddings(filled.model_id)[1], template.answers)
        query = filled.questions[1, 0]
        rows = db.multi_head_search(query, mh_id)
        expected = Model.load(arrays, mh_id, 0.2)
        _, weights = expected.project(query, return_weights=True)
        assert list(rows[0]["routing_weights"].values()) == weights.tolist()
        assert rows[0]["answer_id"] == 2
        assert db.search(query, linear)[0]["answer_id"] == int(np.argmax(filled.answers @ query)) + 1
    # Without the folder, no path leads outside the store.
    with LDAProjectionDB(store / "lda.db") as db:
        with pytest.raises(ValueError, match="outside"):
            db.get_embedding(filled.model_id, "answer", 1)
        with pytest.raises(ValueError, match="outside"):
            db.multi_head_search(query, mh_id)


def test_a_folder_within_the_store_may_be_named_too(tmp_path, fill_store):
    filled = fill_store(tmp_path, embeddings_dir=tmp_path / "embeddings" / "mine")
    with filled.db as db:
        mh_id = filled.train()
        assert (tmp_path / "embeddings" / "mine" / f"mh_{mh_id}_cluster_1_centroid.npy").is_file()
        query = filled.questions[0, 0]
        rows = db.multi_head_search(query, mh_id)
    with LDAProjectionDB(tmp_path / "lda.db") as db:
        assert db.multi_head_search(query, mh_id) == rows


def test_a_relative_path_holds_when_the_working_folder_changes(tmp_path, monkeypatch, template):
    make_old(tmp_path, template)
    monkeypatch.chdir(tmp_path)
    with LDAProjectionDB("lda.db") as db:
        assert db.db_path == "lda.db" and db.embeddings_dir == "embeddings"
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir("sub")
        assert db.multi_head_search(template.questions[0, 0], 1)[0]["answer_id"] == 1
        answer = db.add_answer("a.md", "b")
        db.store_embedding(1, "answer", answer, template.answers[0])
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_store_that_may_only_be_read_is_read(filled):
    mh_id = filled.train()
    query = filled.questions[0, 0]
    expected = filled.db.multi_head_search(query, mh_id)
    filled.db.close()
    files = [filled.folder, *filled.folder.rglob("*")]
    for path in files:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with LDAProjectionDB(filled.folder / "lda.db") as db:
            assert db.multi_head_search(query, mh_id) == expected
    finally:
        for path in files:
            path.chmod(0o755)


def test_a_closed_store_says_so(filled):
    mh_id = filled.train()
    filled.db.close()
    filled.db.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        filled.db.get_answer(1)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        filled.db.multi_head_search(filled.questions[0, 0], mh_id)
