"""The query log and feedback."""

import json

import pytest


def test_queries_are_logged_and_listed_newest_first(filled):
    db = filled.db
    linear = db.store_projection(filled.model_id, filled.model_id, [[float(i == j) for j in range(16)] for i in range(16)])
    first = db.log_query("first", linear, [3, 1])
    second = db.log_query("second", linear, [], selected_id=2, was_helpful=True)
    rows = db.get_query_log()
    assert [row["log_id"] for row in rows] == [second, first]
    assert list(rows[0]) == [
        "log_id",
        "query_text",
        "model_id",
        "projection_id",
        "results",
        "selected_answer_id",
        "was_helpful",
        "created_at",
    ]
    assert rows[1]["query_text"] == "first" and json.loads(rows[1]["results"]) == [3, 1]
    assert (rows[1]["model_id"], rows[1]["projection_id"]) == (filled.model_id, linear)
    assert rows[1]["selected_answer_id"] is None and rows[1]["was_helpful"] is None
    assert (rows[0]["selected_answer_id"], rows[0]["was_helpful"]) == (2, 1)
    assert [row["log_id"] for row in db.get_query_log(limit=1)] == [second]
    assert db.get_stats()["num_queries_logged"] == 2


def test_the_text_model_is_that_of_a_projection_with_heads_too(filled):
    filled.db.log_query("text", filled.train(), [1])
    assert filled.db.get_query_log()[0]["model_id"] == filled.model_id
    filled.db.log_query("text", None, [1])
    assert filled.db.get_query_log()[0]["model_id"] is None


def test_feedback_changes_what_is_given(filled):
    db = filled.db
    log_id = db.log_query("text", None, [1, 2])
    db.update_query_feedback(log_id, was_helpful=False)
    assert (db.get_query_log()[0]["selected_answer_id"], db.get_query_log()[0]["was_helpful"]) == (None, 0)
    db.update_query_feedback(log_id, selected_id=2, was_helpful=True)
    assert (db.get_query_log()[0]["selected_answer_id"], db.get_query_log()[0]["was_helpful"]) == (2, 1)
    db.update_query_feedback(log_id)
    assert db.get_query_log()[0]["was_helpful"] == 1
    # Callers may log and select answers that the store does not have.
    db.update_query_feedback(log_id, selected_id=99)
    assert (db.get_query_log()[0]["selected_answer_id"], db.get_query_log()[0]["was_helpful"]) == (99, 1)
    with pytest.warns(UserWarning, match="no logged query 9"):
        db.update_query_feedback(9, was_helpful=True)


def test_helpful_feedback_is_the_engines_too(filled, engine):
    log_id = filled.db.log_query("a query", None, [1, 2])
    filled.db.update_query_feedback(log_id, selected_id=2, was_helpful=True)
    [logged] = json.loads(engine("log", filled.folder / "lda.db", "--json"))["queries"]
    assert logged["query"] == "a query"
    assert logged["helpful"] is True and logged["selected_answer_id"] == 2
