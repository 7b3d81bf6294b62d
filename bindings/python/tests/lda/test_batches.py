"""Training batches."""

import hashlib
import json
import os

import pytest

from lda_database import LDAProjectionDB

FAQ = {"clusters": [{"answer_id": "a1", "answer": "the answer", "questions": ["one?", "two?"]}]}


@pytest.fixture
def faq(tmp_path):
    file = tmp_path / "qa" / "faq.json"
    file.parent.mkdir()
    file.write_text(json.dumps(FAQ), encoding="utf-8")
    return file


def change(file):
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def test_a_file_is_new_then_unchanged_then_modified(db, faq):
    batch, status = db.register_batch(str(faq), "m")
    assert status == "new"
    row = db.get_batch(batch)
    assert row.pop("created_at")
    assert row == {
        "batch_id": batch,
        "source_file": str(faq),
        "file_hash": hashlib.sha256(faq.read_bytes()).hexdigest(),
        "status": "pending",
        "model_name": "m",
        "num_clusters": None,
        "num_questions": None,
        "projection_id": None,
        "started_at": None,
        "completed_at": None,
        "error_message": None,
    }
    assert db.compute_file_hash(faq) == row["file_hash"]
    assert db.register_batch(faq) == (batch, "unchanged")
    original = faq.read_text(encoding="utf-8")
    change(faq)
    second, status = db.register_batch(str(faq))
    assert status == "modified" and second != batch
    assert [row["batch_id"] for row in db.get_batch_by_file(str(faq))] == [second, batch]
    # Back to the first version, which is known.
    faq.write_text(original, encoding="utf-8")
    assert db.register_batch(str(faq)) == (batch, "unchanged")
    assert [row["status"] for row in db.get_batch_history(batch)] == ["pending"]
    assert db.get_batch(99) is None and db.get_batch_history(99) == []
    assert db.get_batch_by_file("other.json") == []


def test_a_file_is_the_same_by_any_of_its_names(db, faq, monkeypatch):
    batch, _ = db.register_batch(str(faq))
    monkeypatch.chdir(faq.parent)
    assert db.register_batch("faq.json") == (batch, "unchanged")
    assert db.register_batch(os.path.join("..", "qa", "faq.json")) == (batch, "unchanged")
    assert [row["batch_id"] for row in db.get_batch_by_file("faq.json")] == [batch]
    # Another program stored the path as it was passed.
    db.conn.execute("UPDATE training_batches SET source_file = 'faq.json'")
    assert db.register_batch("faq.json") == (batch, "unchanged")


def test_files_that_cant_be_read_are_the_systems_error(db, tmp_path):
    with pytest.raises(FileNotFoundError):
        db.register_batch(tmp_path / "none.json")
    with pytest.raises(OSError):
        db.register_batch(tmp_path)
    with pytest.raises(FileNotFoundError):
        db.scan_for_new_batches(tmp_path / "none")
    assert db.list_batches() == []


def test_a_folder_is_scanned_for_what_is_new_or_modified(db, faq):
    other = faq.parent / "guide.json"
    other.write_text(json.dumps(FAQ) + " ", encoding="utf-8")
    (faq.parent / "notes.txt").write_text("not one", encoding="utf-8")
    (faq.parent / "folder.json").mkdir()
    first = db.scan_for_new_batches(str(faq.parent), "m")
    assert [status for _, status in first] == ["new", "new"]
    assert [db.get_batch(batch)["source_file"] for batch, _ in first] == [str(faq), str(other)]
    assert [db.get_batch(batch)["model_name"] for batch, _ in first] == ["m", "m"]
    assert db.scan_for_new_batches(faq.parent) == []
    change(other)
    [(batch, status)] = db.scan_for_new_batches(faq.parent)
    assert status == "modified" and batch not in [known for known, _ in first]
    assert [row["batch_id"] for row in db.get_batch_by_file(other)] == [batch, first[1][0]]


def test_a_batch_goes_its_way_and_leaves_a_history(db, faq):
    batch, _ = db.register_batch(faq)
    db.update_batch_status(batch, "importing", "reading")
    assert db.get_batch(batch)["started_at"] and db.get_batch(batch)["completed_at"] is None
    started = db.get_batch(batch)["started_at"]
    db.update_batch_status(batch, "embedding", num_clusters=1, num_questions=2)
    db.update_batch_status(batch, "training")
    db.update_batch_status(batch, "completed", projection_id=3)
    row = db.get_batch(batch)
    assert (row["status"], row["started_at"], row["projection_id"]) == ("completed", started, 3)
    assert (row["num_clusters"], row["num_questions"]) == (1, 2)
    assert row["completed_at"] and row["error_message"] is None
    history = db.get_batch_history(batch)
    assert [row["status"] for row in history] == [
        "pending",
        "importing",
        "embedding",
        "training",
        "completed",
    ]
    assert [row["message"] for row in history][1:] == ["reading", None, None, None]
    assert list(history[0]) == ["history_id", "batch_id", "status", "message", "created_at"]
    assert db.get_stats()["num_batches_completed"] == 1


def test_a_batch_fails_with_its_message_and_may_be_tried_again(db, faq):
    batch, _ = db.register_batch(faq)
    db.update_batch_status(batch, "failed", error_message="no room")
    assert db.get_batch(batch)["error_message"] == "no room"
    assert db.get_batch_history(batch)[-1]["message"] == "no room"
    assert [row["batch_id"] for row in db.get_failed_batches()] == [batch]
    db.update_batch_status(batch, "importing")
    assert db.get_batch(batch)["error_message"] is None and db.get_failed_batches() == []
    db.update_batch_status(batch, "failed", "only a message")
    assert db.get_batch(batch)["error_message"] == "only a message"


def test_unknown_batches_and_statuses_are_refused(db, faq):
    batch, _ = db.register_batch(faq)
    with pytest.raises(ValueError, match="'done', expected one of pending, importing"):
        db.update_batch_status(batch, "done")
    with pytest.raises(ValueError, match="Batch 99 not found"):
        db.update_batch_status(99, "completed")
    assert len(db.get_batch_history(batch)) == 1 and db.get_batch_history(99) == []


def test_batches_are_listed_by_status(db, faq):
    first, _ = db.register_batch(faq)
    change(faq)
    second, _ = db.register_batch(faq)
    change(faq)
    third, _ = db.register_batch(faq)
    db.update_batch_status(second, "completed")

    def ids(rows):
        return [row["batch_id"] for row in rows]

    assert ids(db.list_batches()) == [third, second, first]
    assert ids(db.list_batches("completed")) == [second]
    assert ids(db.list_batches("failed")) == []
    assert ids(db.get_pending_batches()) == [first, third]


def test_the_engine_and_this_module_know_the_same_batches(tmp_path, faq, engine):
    database = tmp_path / "lda.db"
    with LDAProjectionDB(database) as db:
        batch, _ = db.register_batch(faq)
    engine("import", database, faq)
    with LDAProjectionDB(database) as db:
        assert db.register_batch(faq) == (batch, "unchanged")
        row = db.get_batch(batch)
        assert (row["status"], row["source_file"]) == ("embedding", str(faq))
        assert (row["num_clusters"], row["num_questions"]) == (1, 2)
        assert db.scan_for_new_batches(faq.parent) == []
        change(faq)
        assert db.scan_for_new_batches(faq.parent) == [(batch + 1, "modified")]
    known = json.loads(engine("batches", database, "--json"))["batches"]
    assert [row["file"] for row in known] == ["qa/faq.json"] * 2
