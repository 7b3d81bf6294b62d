"""Search: the engine's numbers, and the cache between searches."""

import json

import numpy as np
import pytest

from unifyweaver_projection import Model, Searcher


def float64_reference(filled, query, temperature):
    """The multi-head search as NumPy computes it."""

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    centroids = unit(np.array([filled.centroid(n) for n in range(6)], np.float64))
    scores = centroids @ unit(query.astype(np.float64)) / temperature
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    projected = unit(weights @ filled.answers.astype(np.float64))
    return weights, unit(filled.answers.astype(np.float64)) @ projected


def test_multi_head_search_gives_the_engines_numbers(filled):
    database = filled.folder / "lda.db"
    mh_id = filled.train(temperature=0.2)
    model, searcher = Model.open(database, mh_id), Searcher.open(database)
    for query in filled.questions.reshape(-1, 16):
        rows = filled.db.multi_head_search(query, mh_id, top_k=4)
        hits = searcher.search(query, 4, model=model)
        assert [(row["answer_id"], row["score"]) for row in rows] == [hit[:2] for hit in hits]
        _, weights = model.project(query, return_weights=True)
        assert list(rows[0]["routing_weights"]) == filled.clusters
        assert list(rows[0]["routing_weights"].values()) == weights.tolist()
        expected_weights, expected_scores = float64_reference(filled, query, 0.2)
        assert np.allclose(weights, expected_weights, rtol=1e-5)
        best = np.argsort(-expected_scores)[:4]
        assert [row["answer_id"] for row in rows] == (best + 1).tolist()
        assert np.allclose([row["score"] for row in rows], expected_scores[best], rtol=1e-5)


def test_the_rows_have_id_score_weights_and_the_answers_columns(filled):
    mh_id = filled.train()
    row = filled.db.multi_head_search(filled.questions[0, 0], mh_id, 1)[0]
    answer = filled.db.get_answer(row["answer_id"])
    assert list(row)[:3] == ["answer_id", "score", "routing_weights"]
    assert {key: row[key] for key in answer} == answer
    assert isinstance(row["score"], float) and isinstance(row["answer_id"], int)
    assert all(isinstance(weight, float) for weight in row["routing_weights"].values())
    json.dumps(row)
    two = filled.db.multi_head_search(filled.questions[0, 0], mh_id, 2)
    two[0]["routing_weights"].clear()
    assert len(two[1]["routing_weights"]) == 6


def test_linear_search_gives_the_engines_numbers(filled, units):
    db, database = filled.db, filled.folder / "lda.db"
    matrix = units(7, 16, 16)
    projection = db.store_projection(filled.model_id, filled.model_id, matrix)
    model, searcher = Model.open(database, projection, kind="linear"), Searcher.open(database)
    for query in filled.questions[:, 0]:
        rows = db.search(query, projection, top_k=3)
        hits = searcher.search(query, 3, model=model)
        assert [(row["answer_id"], row["score"]) for row in rows] == [hit[:2] for hit in hits]
        projected = matrix.astype(np.float64) @ query
        expected = filled.answers @ projected / np.linalg.norm(projected)
        assert np.allclose([row["score"] for row in rows], np.sort(expected)[::-1][:3], rtol=1e-5)
    assert list(rows[0])[:2] == ["answer_id", "score"] and "routing_weights" not in rows[0]
    assert len(db.search(query, projection)) == 5
    assert len(db.search(query, projection, 100)) == 6
    assert db.search(query, projection, 0) == []


@pytest.mark.parametrize("convert", [list, np.float64, np.float16, "strided", "row"])
def test_queries_may_be_of_any_kind(filled, convert):
    mh_id = filled.train()
    query = filled.questions[3, 1]
    other = {
        list: lambda: query.tolist(),
        "strided": lambda: np.repeat(query, 2)[::2],
        "row": lambda: query[None],
    }.get(convert, lambda: query.astype(convert))()
    expected = filled.db.multi_head_search(query, mh_id)
    found = filled.db.multi_head_search(other, mh_id)
    if convert is np.float16:
        assert [row["answer_id"] for row in found] == [row["answer_id"] for row in expected]
    else:
        assert found == expected


def test_a_residual_projection_is_searched_as_it_was_trained(filled, engine):
    database = filled.folder / "lda.db"
    engine("train", database, "--method", "residual", "--force")
    mh_id = filled.db._value("SELECT max(mh_projection_id) FROM multi_head_projections")
    model, searcher = Model.open(database, mh_id), Searcher.open(database)
    assert model.kind == "residual"
    for query in filled.questions[:, 1]:
        rows = filled.db.multi_head_search(query, mh_id)
        hits = searcher.search(query, 5, model=model)
        assert [(row["answer_id"], row["score"]) for row in rows] == [hit[:2] for hit in hits]
        assert list(rows[0]["routing_weights"]) == model.head_ids.tolist()


def test_unknown_projections_and_unusable_queries_are_errors(filled):
    db, mh_id = filled.db, filled.train()
    linear = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    for search, projection in ((db.search, linear), (db.multi_head_search, mh_id)):
        with pytest.raises(ValueError, match="99 not found"):
            search(filled.questions[0, 0], 99)
        with pytest.raises(ValueError, match="dimension 15, expected 16"):
            search(np.ones(15), projection)
        with pytest.raises(ValueError, match="NaN"):
            search(np.full(16, np.nan), projection)
        with pytest.raises(ValueError, match="zero"):
            search(np.zeros(16), projection)
        with pytest.raises(ValueError, match="dimensions"):
            search(filled.questions[0], projection)
        with pytest.raises(ValueError, match="top_k"):
            search(filled.questions[0, 0], projection, -1)
    # An id of one kind does not exist in the other.
    linear = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    with pytest.raises(ValueError, match=f"Multi-head projection {linear} not found"):
        db.multi_head_search(filled.questions[0, 0], linear)
    mh_id = [filled.train() for _ in range(2)][-1]
    with pytest.raises(ValueError, match=f"Projection {mh_id} not found"):
        db.search(filled.questions[0, 0], mh_id)


def test_nothing_to_search_finds_nothing(filled):
    db = filled.db
    assert db.multi_head_search(filled.questions[0, 0], db.create_multi_head_projection(filled.model_id)) == []
    other = db.add_model("without vectors", 16)
    projection = db.store_projection(filled.model_id, other, np.eye(16))
    assert db.search(filled.questions[0, 0], projection) == []


def test_searches_are_logged_when_they_have_words(filled):
    db, mh_id = filled.db, filled.train()
    linear = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    query = filled.questions[0, 0]
    db.search(query, linear)
    db.search(query, linear, log=False, query_text="not this one")
    assert db.get_query_log() == []
    linear_rows = db.search(query, linear, 2, query_text="linear")
    heads_rows = db.multi_head_search(query, mh_id, 3, True, "heads")
    logged = db.get_query_log()
    assert [row["query_text"] for row in logged] == ["heads", "linear"]
    assert [row["projection_id"] for row in logged] == [mh_id, linear]
    assert [row["model_id"] for row in logged] == [filled.model_id] * 2
    for row, rows in zip(logged, (heads_rows, linear_rows)):
        assert json.loads(row["results"]) == [found["answer_id"] for found in rows]


def test_a_query_in_words_is_embedded_first(filled):
    db = filled.db
    linear = db.store_projection(filled.model_id, filled.model_id, np.eye(16))
    query = filled.questions[2, 2]
    expected = db.search(query, linear)

    class SentenceTransformer:
        def encode(self, text, convert_to_numpy):
            assert text == "words" and convert_to_numpy is True
            return query

    class Embedder:
        def embed(self, text):
            return query

    for embedder in (SentenceTransformer(), Embedder(), lambda text: query):
        assert db.search_with_embedder("words", linear, embedder) == expected
    assert [row["query_text"] for row in db.get_query_log()] == ["words"] * 3
    assert len(db.search_with_embedder("words", linear, Embedder(), top_k=1, log=False)) == 1
    assert len(db.get_query_log()) == 3


@pytest.fixture
def opened(monkeypatch):
    """Models and searchers that were opened, in order."""
    calls = []
    for cls in (Model, Searcher):
        original = cls.open.__func__

        def spy(_, *arguments, _cls=cls, _original=original, **named):
            calls.append(_cls.__name__)
            return _original(_cls, *arguments, **named)

        monkeypatch.setattr(cls, "open", classmethod(spy))
    return calls


def test_what_is_opened_is_kept_until_the_store_changes(filled, opened):
    db, mh_id, query = filled.db, filled.train(), filled.questions[0, 0]
    before = db.multi_head_search(query, mh_id)
    assert opened == ["Model", "Searcher"]
    assert db.multi_head_search(query, mh_id, log=True, query_text="logged") == before
    db.update_query_feedback(1, was_helpful=True)
    db.update_multi_head_metrics(mh_id, mrr=0.5)
    db.add_question("has no bearing")
    assert db.multi_head_search(query, mh_id) == before
    assert opened == ["Model", "Searcher"]

    db.store_embedding(filled.model_id, "answer", before[0]["answer_id"], -filled.answers[0])
    assert db.multi_head_search(query, mh_id) != before
    assert opened == ["Model", "Searcher", "Searcher"]
    db.conn.execute("UPDATE multi_head_projections SET temperature = 5.0")
    weights = db.multi_head_search(query, mh_id)[0]["routing_weights"]
    assert max(weights.values()) < max(before[0]["routing_weights"].values())
    assert opened[3:] == ["Model"]


def test_changes_of_another_connection_are_seen(filled, opened):
    from lda_database import LDAProjectionDB

    db, mh_id, query = filled.db, filled.train(), filled.questions[0, 0]
    before = db.multi_head_search(query, mh_id)
    with LDAProjectionDB(filled.folder / "lda.db") as other:
        other.log_query("has no bearing", mh_id, [])
        assert db.multi_head_search(query, mh_id) == before and len(opened) == 2
        new = other.add_answer("b.md", "new")
        other.store_embedding(filled.model_id, "answer", new, filled.answers[0])
    rows = db.multi_head_search(query, mh_id, top_k=10)
    assert len(rows) == 7 and new in [row["answer_id"] for row in rows]
    assert opened[2:] == ["Searcher"]


def test_a_head_that_is_added_counts_at_once(filled):
    db = filled.db
    mh_id = db.create_multi_head_projection(filled.model_id, temperature=0.1)
    db.add_cluster_head(mh_id, filled.clusters[0], filled.centroid(0), filled.answers[0])
    query = filled.questions[1, 0]
    assert list(db.multi_head_search(query, mh_id)[0]["routing_weights"]) == filled.clusters[:1]
    db.add_cluster_head(mh_id, filled.clusters[1], filled.centroid(1), filled.answers[1])
    rows = db.multi_head_search(query, mh_id)
    assert list(rows[0]["routing_weights"]) == filled.clusters[:2]
    assert rows[0]["answer_id"] == 2


def test_an_answer_that_is_removed_is_not_found(filled):
    db, mh_id, query = filled.db, filled.train(), filled.questions[0, 0]
    best = db.multi_head_search(query, mh_id)[0]["answer_id"]
    db.conn.execute("DELETE FROM answers WHERE answer_id = ?", (best,))
    assert best not in [row["answer_id"] for row in db.multi_head_search(query, mh_id, 10)]
