"""Questions and clusters."""

import sqlite3

import pytest


def test_a_question_has_a_length(db):
    question = db.add_question("what?")
    assert db.get_question(question)["text"] == "what?"
    assert db.get_question(question)["length_type"] == "medium"
    assert db.get_question(db.add_question("why?", "short"))["length_type"] == "short"
    assert list(db.get_question(question)) == ["question_id", "text", "length_type", "created_at"]
    assert db.get_question(99) is None
    with pytest.raises(sqlite3.IntegrityError, match="length_type"):
        db.add_question("how?", "huge")
    assert db.get_stats()["num_questions"] == 2


def test_a_cluster_comes_with_its_answers_and_questions(db):
    answers = [db.add_answer("a.md", "a"), db.add_answer("a.md", "b")]
    questions = [db.add_question("a?"), db.add_question("b?", "long")]
    cluster = db.create_cluster("name", answers, questions, "about it")
    row = db.get_cluster(cluster)
    assert list(row) == ["cluster_id", "name", "description", "created_at", "answers", "questions"]
    assert (row["name"], row["description"]) == ("name", "about it")
    assert row["answers"] == [db.get_answer(answer) for answer in answers]
    assert row["questions"] == [db.get_question(question) for question in questions]
    empty = db.create_cluster("empty", [], [])
    assert db.get_cluster(empty)["answers"] == db.get_cluster(empty)["questions"] == []
    assert db.get_cluster(99) is None
    assert [row["cluster_id"] for row in db.list_clusters()] == [cluster, empty]
    assert "answers" not in db.list_clusters()[0]


@pytest.mark.parametrize(
    ("answers", "questions", "message"),
    [([1, 9], [1], "Answer 9 not found"), ([1], [8], "Question 8 not found")],
)
def test_clusters_of_unknown_rows_are_refused_as_a_whole(db, answers, questions, message):
    db.add_answer("a.md", "a")
    db.add_question("a?")
    with pytest.raises(ValueError, match=message):
        db.create_cluster("name", answers, questions)
    assert db.list_clusters() == []


def test_an_answer_twice_in_a_cluster_is_sqlites_error_and_no_cluster(db):
    answer = db.add_answer("a.md", "a")
    with pytest.raises(sqlite3.IntegrityError):
        db.create_cluster("name", [answer, answer], [])
    assert db.list_clusters() == []


def test_the_questions_of_an_answer_come_from_all_its_clusters(db):
    answer, other = db.add_answer("a.md", "a"), db.add_answer("a.md", "b")
    medium, long, short = (db.add_question(kind, kind) for kind in ("medium", "long", "short"))
    first = db.create_cluster("first", [answer], [medium, long])
    second = db.create_cluster("second", [answer, other], [short])
    rows = db.get_questions_for_answer(answer)
    assert [row["question_id"] for row in rows] == [long, medium, short]
    assert [(row["cluster_id"], row["cluster_name"]) for row in rows] == [
        (first, "first"),
        (first, "first"),
        (second, "second"),
    ]
    assert [row["question_id"] for row in db.get_questions_for_answer(other)] == [short]
    assert db.get_questions_for_answer(99) == []
