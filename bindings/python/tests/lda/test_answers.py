"""Answers and their relations."""

import json
import sqlite3

import numpy as np
import pytest

ANSWER_COLUMNS = [
    "answer_id",
    "parent_id",
    "source_file",
    "record_id",
    "text",
    "text_variant",
    "chunk_index",
    "created_at",
]


def test_an_answer_is_given_back_with_the_tables_columns(db):
    first = db.add_answer("a.md", "the text")
    second = db.add_answer("b.md", "part", "record", "short", first, 3)
    assert list(db.get_answer(first)) == ANSWER_COLUMNS
    row = db.get_answer(first)
    assert (row["source_file"], row["text"], row["text_variant"]) == ("a.md", "the text", "default")
    assert row["record_id"] is row["parent_id"] is row["chunk_index"] is None
    assert row["created_at"]
    row = db.get_answer(second)
    assert (row["record_id"], row["text_variant"]) == ("record", "short")
    assert (row["parent_id"], row["chunk_index"]) == (first, 3)
    assert db.get_answer(99) is None


def test_ids_may_be_numpys(db):
    first = db.add_answer("a.md", "the text")
    assert db.get_answer(np.int64(first))["text"] == "the text"
    second = db.add_answer("a.md", "part", parent_id=np.int32(first))
    assert db.get_answer(second)["parent_id"] == first


def test_an_unknown_parent_is_refused_and_nothing_is_added(db):
    with pytest.raises(ValueError, match="Answer 7 not found"):
        db.add_answer("a.md", "part", parent_id=7)
    assert db.get_stats()["num_answers"] == 0


def test_what_the_table_does_not_accept_is_sqlites_error(db):
    with pytest.raises(sqlite3.IntegrityError):
        db.add_answer("a.md", None)
    db.add_answer("a.md", "the connection is fit for use after that")


def test_answers_are_found_by_source_and_record(db):
    one = db.add_answer("a.md", "one", "r1")
    two = db.add_answer("a.md", "two", "r2")
    three = db.add_answer("b.md", "three", "r1")

    def ids(**wanted):
        return [row["answer_id"] for row in db.find_answers(**wanted)]

    assert ids(source_file="a.md") == [one, two]
    assert ids(record_id="r1") == [one, three]
    assert ids(source_file="b.md", record_id="r1") == [three]
    assert ids(source_file="c.md") == []
    assert ids() == [one, two, three]


def test_answers_are_searched_by_a_pattern_in_text_and_record(db):
    one = db.add_answer("a.md", "how to read CSV", "doc_1")
    two = db.add_answer("a.md", "how to write", "csv_2")
    cluster = db.create_cluster("reading", [one], [])
    rows = db.search_answers("%csv%")
    assert [row["answer_id"] for row in rows] == [one, two]
    assert (rows[0]["cluster_id"], rows[0]["cluster_name"]) == (cluster, "reading")
    assert (rows[1]["cluster_id"], rows[1]["cluster_name"]) == (None, None)
    assert list(rows[0]) == [*ANSWER_COLUMNS, "cluster_name", "cluster_id"]
    assert db.search_answers("csv") == []
    other = db.create_cluster("both", [one], [])
    assert [row["cluster_id"] for row in db.search_answers("how to read%")] == [cluster, other]


def test_relations_lead_from_and_to(db):
    full, part = db.add_answer("a.md", "full"), db.add_answer("a.md", "part")
    relation = db.add_relation(part, full, "chunk_of", {"page": 2})
    [row] = db.get_related(part)
    assert (row["relation_id"], row["answer_id"], row["text"]) == (relation, full, "full")
    assert (row["from_answer_id"], row["to_answer_id"]) == (part, full)
    assert row["relation_type"] == "chunk_of" and json.loads(row["metadata"]) == {"page": 2}
    assert db.get_related(full) == []
    [row] = db.get_related(full, "chunk_of", direction="to")
    assert row["answer_id"] == part
    assert db.get_related(full, "translates", "to") == []
    with pytest.raises(ValueError, match="'up'"):
        db.get_related(full, direction="up")


def test_a_relation_that_is_there_gets_the_new_metadata(db):
    a, b = db.add_answer("a.md", "a"), db.add_answer("a.md", "b")
    first = db.add_relation(a, b, "translates")
    assert db.get_related(a)[0]["metadata"] is None
    assert db.add_relation(a, b, "translates", {"to": "fr"}) == first
    assert db.add_relation(a, b, "summarizes") != first
    assert [row["relation_type"] for row in db.get_related(a)] == ["translates", "summarizes"]
    assert db.get_stats()["num_relations"] == 2


@pytest.mark.parametrize("ends", [(1, 9), (9, 1)])
def test_relations_of_unknown_answers_are_refused(db, ends):
    db.add_answer("a.md", "a")
    with pytest.raises(ValueError, match="Answer 9 not found"):
        db.add_relation(*ends, "chunk_of")
    assert db.get_stats()["num_relations"] == 0


def test_the_full_version_is_at_the_end_of_the_relations(db):
    full, summary, short, chunk = (db.add_answer("a.md", text) for text in "full summary short chunk".split())
    db.add_relation(chunk, short, "chunk_of")
    db.add_relation(short, summary, "abbreviates")
    db.add_relation(summary, full, "summarizes")
    for answer in (chunk, short, summary, full):
        assert db.get_full_version(answer) == db.get_answer(full)
    variant = db.add_answer("a.md", "variant")
    db.add_relation(variant, full, "variant_of")
    assert db.get_full_version(variant)["text"] == "variant"
    assert db.get_full_version(99) is None


@pytest.mark.parametrize("text", [b"bytes", np.bytes_(b"bytes"), np.array(["a"]), bytearray(b"x"), np.datetime64("2025")])
def test_what_sqlite_would_store_as_bytes_is_refused(db, text):
    with pytest.raises(TypeError, match="expected a text, a number or None"):
        db.add_answer("a.md", text)
    assert db.find_answers() == []
    found = db.get_answer(db.add_answer(np.str_("a.md"), np.str_("text"), chunk_index=np.int32(2)))
    assert (found["source_file"], found["text"], found["chunk_index"]) == ("a.md", "text", 2)


def test_relations_in_a_circle_come_to_an_end(db):
    a, b = db.add_answer("a.md", "a"), db.add_answer("a.md", "b")
    db.add_relation(a, b, "chunk_of")
    db.add_relation(b, a, "chunk_of")
    assert db.get_full_version(a)["answer_id"] == b
    assert db.get_full_version(b)["answer_id"] == a


def test_chunks_variants_and_translations(db):
    full = db.add_answer("a.md", "full")
    chunks = [db.add_answer("a.md", f"part {n}", chunk_index=n) for n in (2, 0, 1)]
    for chunk in chunks:
        db.add_relation(chunk, full, "chunk_of")
    assert [row["chunk_index"] for row in db.get_chunks(full)] == [0, 1, 2]
    db.add_relation(chunks[1], chunks[2], "next_chunk")
    db.add_relation(chunks[2], chunks[1], "prev_chunk")
    assert db.get_next_chunk(chunks[1])["answer_id"] == chunks[2]
    assert db.get_prev_chunk(chunks[2])["answer_id"] == chunks[1]
    assert db.get_next_chunk(full) is None and db.get_prev_chunk(full) is None
    other, french = db.add_answer("a.md", "other wording"), db.add_answer("a.md", "en français")
    db.add_relation(other, full, "variant_of")
    db.add_relation(french, full, "translates")
    assert [row["answer_id"] for row in db.get_variants(full)] == [other]
    assert [row["answer_id"] for row in db.get_variants(other)] == [full]
    assert [row["answer_id"] for row in db.get_translations(full)] == [french]
