"""The package's functions on a store that `lda_database` has open."""

import threading

import numpy as np
import pytest

from lda_database import LDAProjectionDB
from unifyweaver_projection import import_files, train


def test_training_beside_writers_loses_nothing(filled):
    """A thread trains while another writes: each waits for the other."""
    done = threading.Event()
    written = []

    def write():
        with LDAProjectionDB(filled.folder / "lda.db") as db:
            while not done.is_set() or len(written) < 5:
                written.append(db.add_question(f"written {len(written)}"))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        trained = [
            train(filled.folder / "lda.db", method="multi-head", force=True, progress=False)
            for _ in range(3)
        ]
    finally:
        done.set()
        thread.join()
    assert len(trained) == 3
    assert filled.db.get_stats()["num_questions"] == 18 + len(written)
    assert filled.db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    projections = filled.db._rows("SELECT mh_projection_id AS id FROM multi_head_projections")
    for row in projections:
        assert len(filled.db.multi_head_search(filled.questions[0, 0], row["id"])) == 5
    assert len(projections) == 3


def test_a_progress_function_is_kept_from_the_store(filled):
    def progress(stage, done, total, loss):
        filled.db.add_question("in the middle of it")

    with pytest.raises(RuntimeError, match="in use"):
        train(filled.folder / "lda.db", force=True, progress=progress)
    assert filled.db.get_stats()["num_questions"] == 18


def test_what_the_package_imports_is_here_at_once(db, tmp_path):
    file = tmp_path / "faq.json"
    file.write_text('{"clusters": [{"answer_id": "a", "answer": "b", "questions": ["c", "d"]}]}')
    assert db.register_batch(file)[1] == "new"
    import_files(tmp_path / "lda.db", file)
    [cluster] = db.list_clusters()
    assert [row["text"] for row in db.get_cluster(cluster["cluster_id"])["questions"]] == ["c", "d"]
    assert db.register_batch(file)[1] == "unchanged"
    assert np.all(db.get_stats()["num_batches"] == 1)
