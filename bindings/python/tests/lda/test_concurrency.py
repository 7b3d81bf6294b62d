"""Many threads and processes on one store."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lda_database import LDAProjectionDB
from unifyweaver_projection._store_lock import store_lock


def test_threads_share_a_store(filled):
    """Threads read, write and search at once. Nothing is lost, and every search returns what it
    returns on a single thread."""
    db, mh_id = filled.db, filled.train()
    queries = filled.questions.reshape(-1, 16)
    expected = [db.multi_head_search(query, mh_id) for query in queries]
    start = threading.Barrier(8)

    def work(thread):
        start.wait()
        for turn in range(12):
            at = (5 * thread + turn) % len(queries)
            assert db.multi_head_search(queries[at], mh_id, query_text=f"{thread}.{turn}") == expected[at]
            question = db.add_question(f"{thread}.{turn}")
            db.store_embedding(filled.model_id, "question", question, queries[at])
            assert np.array_equal(db.get_embedding(filled.model_id, "question", question), queries[at])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert db.get_stats()["num_questions"] == 18 + 96
    assert db.get_stats()["num_queries_logged"] == 96
    assert {row["query_text"] for row in db.get_query_log(1000)} == {
        f"{thread}.{turn}" for thread in range(8) for turn in range(12)
    }
    assert db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_objects_of_one_store_take_turns_with_the_engine(filled):
    """Threads open and close the database while others write. Within a process, the two copies of
    SQLite do not wait for each other by themselves."""
    mh_id = filled.train()
    query = filled.questions[0, 0]
    start = threading.Barrier(4)

    def work(thread):
        start.wait()
        for turn in range(8):
            with LDAProjectionDB(filled.folder / "lda.db") as db:
                db.add_question(f"{thread}.{turn}")
                assert db.multi_head_search(query, mh_id)[0]["answer_id"] == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert filled.db.get_stats()["num_questions"] == 18 + 32
    assert filled.db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


WRITER = """
import sys
import numpy as np
from lda_database import LDAProjectionDB
database, name = sys.argv[1], sys.argv[2]
with LDAProjectionDB(database) as db:
    query = np.eye(16)[int(name)]
    for turn in range(12):
        question = db.add_question(f"{name}.{turn}")
        db.store_embedding(1, "question", question, query)
        assert db.multi_head_search(query, 1, log=True, query_text=f"{name}.{turn}")
        answer = db.add_answer("a.md", f"{name}.{turn}")
        db.store_embedding(1, "answer", answer, query)
"""


def test_processes_write_and_search_at_once(filled, engine):
    assert filled.train() == 1
    database = filled.folder / "lda.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(database), str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    # The engine's command runs at the same time.
    engine("train", database, "--method", "multi-head")
    for writer in writers:
        _, errors = writer.communicate(timeout=300)
        assert writer.returncode == 0, errors
    db = filled.db
    assert db.get_stats()["num_questions"] == 18 + 48
    assert db.get_stats()["num_answers"] == 6 + 48
    assert db.get_stats()["num_queries_logged"] == 48
    rows = db._rows("SELECT text, entity_id FROM questions JOIN embeddings ON entity_id = question_id AND entity_type = 'question'")
    assert len(rows) == 18 + 48
    for row in rows[18:]:
        vector = db.get_embedding(1, "question", row["entity_id"])
        assert np.array_equal(vector, np.eye(16)[int(row["text"].split(".")[0])])
    assert len(db.multi_head_search(filled.questions[0, 0], 1, 100)) == 6 + 48
    assert db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert [path for path in filled.folder.rglob("*.tmp")] == []


def test_no_method_leaves_a_transaction_open(filled):
    db, mh_id = filled.db, filled.train()
    db.conn.execute("INSERT INTO questions (text) VALUES ('by hand')")
    assert db.conn.in_transaction
    db.multi_head_search(filled.questions[0, 0], mh_id)
    assert not db.conn.in_transaction
    db.conn.execute("INSERT INTO questions (text) VALUES ('by hand too')")
    with pytest.raises(ValueError):
        db.add_relation(98, 99, "chunk_of")
    assert not db.conn.in_transaction
    assert db.get_stats()["num_questions"] == 20


def test_the_engine_waits_for_a_transaction_and_leaves_its_lock_alone(filled):
    """When the engine closes the database, the system drops all locks of the process on it,
    including Python's. Other processes could then write."""
    mh_id = filled.train()
    found = []

    def search():
        with LDAProjectionDB(filled.folder / "lda.db") as other:
            found.append(other.multi_head_search(filled.questions[0, 0], mh_id))

    intruder = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
    )
    thread = threading.Thread(target=search)
    with filled.db._writing():
        filled.db._execute("UPDATE questions SET text = 'changing' WHERE question_id = 1")
        with pytest.raises(RuntimeError, match="within a transaction"):
            with filled.db._lock.engine():
                pass
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and found == []
        done = subprocess.run(
            [sys.executable, "-c", intruder, filled.db.db_path], stderr=subprocess.PIPE, text=True
        )
        assert "database is locked" in done.stderr
    thread.join()
    assert found[0][0]["answer_id"] == 1


def test_the_store_is_not_used_from_within_a_call_of_the_engine(filled):
    with store_lock(filled.db.db_path).engine():
        with pytest.raises(RuntimeError, match="in use"):
            filled.db.get_stats()
    assert filled.db.get_stats()["num_answers"] == 6


def test_a_change_that_fails_is_undone(filled):
    db = filled.db
    with pytest.raises(KeyError):
        with db._writing():
            db._execute("DELETE FROM questions")
            raise KeyError
    assert db.get_stats()["num_questions"] == 18
