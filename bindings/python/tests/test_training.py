"""From question-answer files to results, through the installed package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from conftest import FAQ, FAQ_TEST, ROOT, EMBEDDING_MODEL

import unifyweaver_projection as up


def projections(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM multi_head_projections").fetchone()
    connection.close()
    return int(count)


def test_import_reports_the_outcome_of_each_file(tmp_path: Path) -> None:
    database, bad = tmp_path / "lda.db", tmp_path / "bad.json"
    bad.write_text("{}")
    seen: list[tuple[str, int, int, Optional[float]]] = []
    imported = up.import_files(database, [FAQ, bad], progress=lambda *step: seen.append(step))
    assert [file.outcome for file in imported.files] == ["imported", "failed"]
    assert imported.files[0].answers > 40 and imported.failed == imported.files[1:]
    assert seen[0] == ("importing", 0, 2, None) and seen[-1] == ("importing", 2, 2, None)
    assert "bad.json" in str(imported) and "<table>" in imported._repr_html_()
    assert up.import_files(database, str(FAQ)).files[0].outcome == "unchanged"
    again = up.import_files(database, [], retry_failed=True)
    assert [file.outcome for file in again.files] == ["failed"]
    table = tmp_path / "table.csv"
    table.write_text("asked,reply\nQ?,A.\n")
    mapped = up.import_files(database, table, question_column="asked", answer_column="reply")
    assert (mapped.files[0].answers, mapped.files[0].questions) == (1, 1)
    with pytest.raises(up.InvalidArgumentError, match="xml"):
        up.import_files(database, table, format="xml")
    with pytest.raises(up.NotFoundError):
        up.import_files(tmp_path / "none.db", [])
    with pytest.raises(up.ArgumentTypeError, match=r"files\[0\]"):
        up.import_files(database, [7])  # type: ignore[list-item]


def test_cancelled_embedding_continues(tmp_path: Path) -> None:
    database = tmp_path / "lda.db"
    up.import_files(database, FAQ)
    # Returns False after the first chunk.
    stop = lambda stage, done, total, loss: done == 0  # noqa: E731
    with pytest.raises(up.CancelledError, match="cancelled by the caller"):
        up.embed_store(database, EMBEDDING_MODEL, progress=stop)
    total = 0
    rest = up.embed_store(database, EMBEDDING_MODEL, progress=False)
    assert rest.model == "all-MiniLM-L6-v2" and rest.dimension == 384
    total = rest.answers + rest.questions
    assert 0 < total < 387
    again = up.embed_store(database, EMBEDDING_MODEL, progress=False)
    assert again.answers + again.questions == 0 and again.notes == []


def test_another_embedding_model_is_refused(tmp_path: Path) -> None:
    database, other = tmp_path / "lda.db", tmp_path / "all-MiniLM-L6-v2"
    up.import_files(database, FAQ)
    stop = lambda stage, done, total, loss: done == 0  # noqa: E731
    with pytest.raises(up.CancelledError):
        up.embed_store(database, EMBEDDING_MODEL, progress=stop)
    with up.Embedder.load(EMBEDDING_MODEL) as embedder:
        embedder.check_store(database)
        with pytest.raises(up.NotFoundError, match="none"):
            embedder.check_store(database, "none")
    shutil.copytree(EMBEDDING_MODEL, other)
    limits = other / "sentence_bert_config.json"
    limits.write_text('{"max_seq_length": 128}')
    with up.Embedder.load(other) as embedder:
        with pytest.raises(up.InvalidEmbedderError, match="max_tokens 128, expected 256"):
            embedder.check_store(database)
    with pytest.raises(up.InvalidEmbedderError, match="max_tokens 128, expected 256"):
        up.embed_store(database, other, progress=False)
    forced = up.embed_store(database, other, force=True, progress=False)
    assert forced.answers + forced.questions > 0 and "max_tokens" in forced.notes[0]


def test_precomputed_embeddings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "answers": rng.normal(size=(6, 16)),
        "questions": rng.normal(size=(24, 16)).astype(np.float32),
        "labels": np.arange(24) % 5,
    }
    arrays["labels"][0] = -1
    paths: dict[str, Any] = {name: tmp_path / f"{name}.npy" for name in arrays}
    for name, array in arrays.items():
        np.save(paths[name], array)
    database = tmp_path / "lda.db"
    imported = up.import_embeddings(database, model_name="mine", **paths)
    assert (imported.outcome, imported.answers, imported.questions) == ("imported", 6, 24)
    assert (imported.answers_without_question, imported.questions_without_answer) == (1, 1)
    trained = up.train(database, "multi_head", force=True, progress=False)
    assert (trained.kind, trained.heads, trained.model) == ("multi_head", 5, "mine")
    assert trained.open().project(arrays["questions"]).shape == (24, 16)
    with pytest.raises(up.NotFoundError, match="nothing.npy"):
        up.import_embeddings(database, model_name="mine", **{**paths, "labels": tmp_path / "nothing.npy"})
    with pytest.raises(up.InvalidArgumentError, match="model_name"):
        up.import_embeddings(database, model_name=" ", **paths)


def test_moved_answers_for_another_index(tmp_path: Path) -> None:
    """Where answers have nothing in common with their questions, they are moved."""
    rng = np.random.default_rng(3)

    def unit(rows: Any) -> Any:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    answers, topics = unit(rng.normal(size=(2, 60, 16)))
    labels = np.repeat(np.arange(55), 8)
    questions = unit(topics[labels] + 0.3 * rng.normal(size=(len(labels), 16)))
    paths: dict[str, Any] = {}
    for name, array in {"answers": answers, "questions": questions, "labels": labels}.items():
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], array)
    database = tmp_path / "lda.db"
    up.import_embeddings(database, model_name="mine", **paths)
    trained = up.train(database, "residual", tune=True, force=True, progress=False)
    still = up.train(database, "residual", tune=True, query_only=True, force=True, progress=False)
    model, searcher = trained.open(), up.Searcher.open(database)
    assert model.moves_answers and not still.open().moves_answers
    assert any("moved" in note for note in trained.notes)
    assert trained.terms is not None
    angle = trained.terms["answer_angle"]
    ids, vectors = searcher.vectors(model)
    plain = dict(zip(*searcher.vectors()))
    for number, (answer, vector) in enumerate(zip(answers, vectors)):
        assert np.allclose(plain[ids[number]], answer, atol=1e-6)
        if number >= 55:
            assert np.array_equal(vector, plain[ids[number]])
            continue
        goal = unit(questions[labels == number].sum(axis=0))
        aside = unit(goal - (answer @ goal) * answer)
        moved = np.cos(angle) * answer + np.sin(angle) * aside
        expected = goal if answer @ goal > np.cos(angle) else moved
        assert np.allclose(vector, expected, atol=1e-6)
    # Another index that holds them finds what the searcher finds.
    for query in questions[::37]:
        scores = vectors @ unit(model.project(query))
        best = ids[np.argsort(-scores)][:5]
        hits = searcher.search(query, 5, model=model, score_mode="cosine")
        assert [hit.answer_id for hit in hits] == list(best)
        assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)


@pytest.mark.parametrize("method", ["residual", "multi-head", "linear", "ridge"])
def test_every_method_trains_what_the_command_trains(own_store: Path, tmp_path: Path, method: str) -> None:
    """The models are bit for bit the same, and so are the reports."""
    trained = up.train(own_store, method, force=True, seed=3, name="ours", progress=False)
    command = [ROOT / "target/release/projection", "train", own_store, "--method", method]
    command += ["--force", "--seed", "3", "--name", "ours", "--json"]
    theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert theirs.pop("id") == trained.id + 1
    # Each was compared with another active projection.
    for key in ["resources", "active", "notes"]:
        theirs.pop(key)
    assert {name: getattr(trained, name) for name in theirs} == theirs
    ours, other = trained.open(), up.Model.open(own_store, trained.id + 1, kind=trained.kind)
    queries = np.random.default_rng(0).normal(size=(10, 384))
    assert np.array_equal(ours.project(queries), other.project(queries))


def test_tuned_training_and_its_report(own_store: Path) -> None:
    seen: list[tuple[str, int, int, Optional[float]]] = []
    trained = up.train(own_store, progress=lambda *step: seen.append(step))
    assert trained.id == 2 and trained.kind == "residual" and trained.questions == 400
    stages = {stage for stage, *_ in seen}
    assert {"tuning", "adapter"} <= stages
    assert any(loss is not None and loss > 0 for *_, loss in seen)
    assert all(0 <= done <= total for _, done, total, _ in seen)
    frame = trained.to_pandas()
    assert frame.loc["chosen", "score"] >= frame.loc["plain cosine", "score"]
    best = [name for name in frame.index if name.startswith("best ")]
    expected = ["best lda", "best multi_head", "best residual", "best ridge", "best ridge_to_identity"]
    assert sorted(best) == expected
    text, html = str(trained), trained._repr_html_()
    assert "projection 2: residual, 50 heads" in text and "plain cosine" in text
    assert "<td>plain cosine</td>" in html and "<script" not in html


def test_evaluation_with_test_questions(trained: Path) -> None:
    result = up.evaluate(trained, 1, test=FAQ_TEST, model_dir=EMBEDDING_MODEL, progress=False)
    command = [ROOT / "target/release/projection", "evaluate", trained, "--projection", "1"]
    command += ["--test", FAQ_TEST, "--model-dir", EMBEDDING_MODEL, "--json"]
    theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    methods = result["test"].methods
    assert [m.method for m in methods] == [m["method"] for m in theirs["protocols"][0]["methods"]]
    for ours, other in zip(methods, theirs["protocols"][0]["methods"]):
        assert vars(ours.all.mrr_at_10) == other["all"]["mrr_at_10"]
    cosine = result["test"]["cosine"].all
    assert cosine.questions == 100 and 0 < cosine.recall_at_1.low < cosine.recall_at_1.value
    frame = result.to_pandas()
    assert set(frame["part"]) == {"all", "seen"}
    ours_row = frame[(frame.projection_id == 1) & (frame.part == "all")].iloc[0]
    assert ours_row.recall_at_1 > cosine.recall_at_1.value
    assert "recall@1 %" in str(result) and result._repr_html_().count("<table>") == 1
    with pytest.raises(KeyError, match="expected one of"):
        result["open"]


def test_cross_validation(trained: Path) -> None:
    stages = set()
    progress = lambda stage, done, total, loss: stages.add(stage)  # noqa: E731
    result = up.evaluate(trained, [1, 1], folds=2, details=True, progress=progress)
    assert [protocol.protocol for protocol in result.protocols] == ["closed", "open"]
    details = result["closed"].details
    assert details is not None and len(details["questions"]) == 400 and stages


def test_arguments_that_are_refused(trained: Path, tmp_path: Path) -> None:
    for call, error, words in (
        (lambda: up.train(tmp_path / "none.db"), up.NotFoundError, "none.db"),
        (lambda: up.train(trained, "deep"), up.InvalidArgumentError, "'deep', expected one of auto"),
        (lambda: up.train(trained, temperature=0), up.InvalidArgumentError, "temperature is 0"),
        (lambda: up.train(trained, temperature=-1), up.InvalidArgumentError, "temperature is -1"),
        (lambda: up.train(trained, unseen=1.5), up.InvalidArgumentError, "unseen is 1.5"),
        (lambda: up.train(trained, seed=-1), up.InvalidArgumentError, "seed is -1"),
        (lambda: up.train(trained, model_name="other"), up.NotFoundError, "other"),
        (lambda: up.train(trained, progress=3), up.ArgumentTypeError, "progress is of type int"),
        (lambda: up.evaluate(trained, folds=1), up.InvalidArgumentError, "folds is 1"),
        (lambda: up.evaluate(trained, 99), up.NotFoundError, "99"),
        (lambda: up.evaluate(trained, "1"), up.ArgumentTypeError, "expected ids"),
        (lambda: up.evaluate(trained, test=FAQ_TEST), up.InvalidArgumentError, "test with model_dir"),
        (lambda: up.evaluate(trained, models="m.pt"), up.ArgumentTypeError, "expected a list"),
        (lambda: up.evaluate(trained, models=["m.pt"]), up.InvalidArgumentError, "test questions"),
        (lambda: up.evaluate(trained, precisions=["int4"]), up.InvalidArgumentError, "int4"),
    ):
        with pytest.raises(error, match=words):
            call()  # type: ignore[no-untyped-call]


def test_evaluation_of_files_and_precisions(own_store: Path) -> None:
    made = up.train(own_store, "multi-head", force=True, progress=False)
    file = own_store.parent / "m.safetensors"
    exported = up.export(own_store, made.id, output=file, precision="int8")
    assert exported.precision == up.Model.load_file(file).precision == "int8"
    result = up.evaluate(own_store, made.id, models=[file], precisions=["bf16", "int8"],
                         test=FAQ_TEST, model_dir=EMBEDDING_MODEL, progress=False)
    methods = result["test"].methods
    by_file, fused = [method for method in methods if method.model_file == str(file)]
    assert "BM25" in fused.method and "BM25" not in by_file.method
    rounded = {m.precision: m for m in methods if m.against_exact is not None}
    assert rounded.keys() == {"bf16", "int8"} and rounded["int8"].all == by_file.all
    for method in rounded.values():
        assert method.against_exact is not None and method.projection_id == made.id
        assert method.against_exact["least_cosine"] > 0.999


def test_an_exception_in_the_progress_function_cancels(own_store: Path) -> None:
    def stop(stage: str, done: int, total: int, loss: Optional[float]) -> None:
        raise LookupError(f"enough of {stage}")

    before = projections(own_store)
    with pytest.raises(LookupError, match="enough of"):
        up.train(own_store, progress=stop)
    with pytest.raises(LookupError, match="enough of evaluating"):
        up.evaluate(own_store, test=FAQ_TEST, model_dir=EMBEDDING_MODEL,
                    progress=lambda s, *rest: stop(s, *rest) if s == "evaluating" else None)
    assert projections(own_store) == before
    # The store is unchanged and not locked.
    assert up.train(own_store, "residual", progress=False).id == 2


def test_ctrl_c_stops_training(own_store: Path) -> None:
    # A shell without job control starts background processes with the signal ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = projections(own_store)
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(100):
            up.train(own_store, force=True, progress=False)
    signal.signal(signal.SIGINT, handler)
    assert projections(own_store) - before < 100
    assert up.train(own_store, "residual", progress=False).id > before


def test_a_bar_is_shown_if_requested(own_store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    up.train(own_store, "residual", progress=True)
    assert "adapter:" in capfd.readouterr().err
    up.train(own_store, "residual", progress=False)
    assert capfd.readouterr().err == ""


def test_search_and_explanations_of_a_store(trained: Path) -> None:
    model, searcher = up.Model.open(trained, 1), up.Searcher.open(trained)
    embedder = up.Embedder.load(EMBEDDING_MODEL)
    text = "Can ten workers call the same loaded model simultaneously?"
    query = embedder.embed(text)
    hits = searcher.search(query, 3, model=model, text=text, hybrid=0.3)
    assert len(hits) == 3 and hits[0].score >= hits[1].score and hits[0].text
    explanation = searcher.explain(query, 3, model=model, text=text, hybrid=0.3)
    assert [hit.answer_id for hit in explanation.hits] == [hit.answer_id for hit in hits]
    assert explanation.hybrid_weight == 0.3 and explanation.hits[0].bm25 is not None
    assert explanation.questions[0].text and abs(sum(explanation.weights.values()) - 1) < 1e-5
    alone = model.explain(query)
    assert alone.angle == explanation.angle and alone.weights == explanation.weights
    assert alone.hits == [] and alone.questions[0].text is None
    assert "moved by" in str(explanation) and "<table>" in explanation._repr_html_()
    nearest = searcher.search(query, 3, model=model, score_mode="max_nearest_question")
    assert nearest[0].score >= searcher.search(query, 3, model=model)[0].score
    batch = searcher.search_batch([query] * 2, 3, model=model, texts=[text] * 2, hybrid=0.3)
    assert batch == [hits, hits]


def test_texts_from_data_are_escaped() -> None:
    from unifyweaver_projection import _tables

    table = _tables.Table("<b>", ["<i>"], [["<script>alert(1)</script>"]])
    html = _tables.as_html("<u>", [table], ["<s>"])
    for tag in ("<b>", "<i>", "<script>", "<u>", "<s>"):
        assert tag not in html.replace("<b>note:</b>", "")
    assert _tables.as_text("", [_tables.Table("", ["a"], [["x\ny"], ["z" * 99]])]).count("\n") == 2


def test_a_missing_pandas_is_reported(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = up.evaluate(trained, 1, test=FAQ_TEST, model_dir=EMBEDDING_MODEL, progress=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_pandas()


def test_a_worse_model_is_stored_and_not_active(own_store: Path) -> None:
    worse = up.train(own_store, "multi_head", force=True, progress=False)
    assert (worse.id, worse.active) == (2, 1)
    assert any("projection 1 stays active" in note for note in worse.notes)
    with up.Model.open(own_store) as model:
        assert model.kind == "residual"
    active = lambda models: [model.id for model in models if model.active]  # noqa: E731
    assert active(up.list_models(own_store)) == [1]
    assert active(up.activate_model(own_store, 2)) == [2]
    with up.Model.open(own_store) as model:
        assert model.kind == "multi_head"
    with pytest.raises(up.InvalidArgumentError, match="active one"):
        up.delete_model(own_store, 2)
    assert active(up.roll_back_model(own_store)) == [1]
    assert up.rename_model(own_store, 2, "sharp")[1].name == "sharp"
    assert [model.id for model in up.delete_model(own_store, 2)] == [1]
    with pytest.raises(up.NotFoundError):
        up.activate_model(own_store, 2)


def test_a_program_is_told_of_odd_values(tmp_path: Path) -> None:
    database = tmp_path / "lda.db"
    up.import_files(database, FAQ)
    assert up.store_warnings(database) == []
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE answers SET text = CAST(text AS BLOB) WHERE answer_id = 4")
    connection.close()
    (warning,) = up.store_warnings(str(database))
    assert warning.startswith("table answers, row 4: text is a BLOB")
