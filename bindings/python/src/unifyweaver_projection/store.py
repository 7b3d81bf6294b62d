"""Filling a store: question-answer files, precomputed embeddings, and embedding of texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import _call, _tables, _work
from ._native import ffi, lib
from ._store_lock import store_lock
from .embedder import text_pointers


@dataclass(frozen=True)
class ImportedFile:
    """The outcome of importing one file."""

    file: str
    #: "imported", "replaced", "unchanged", "moved" (a known file at another path), "failed", or
    #: "missing" (a file that the folder had before).
    outcome: str
    clusters: int
    answers: int
    questions: int
    #: Number of texts of its earlier version that were removed.
    removed: int
    #: Number of entries that were left out because they are wrong, as `skip_invalid` allows.
    skipped: int = 0
    #: What may not be meant so, and why entries were left out.
    warnings: Sequence[str] = ()
    #: The message if it failed.
    error: Optional[str] = None


@dataclass(frozen=True)
class ImportResult(_tables.Report):
    """The outcomes of all files."""

    store: str
    files: list[ImportedFile]

    @property
    def failed(self) -> list[ImportedFile]:
        """The files that failed."""
        return [file for file in self.files if file.error is not None]

    def _tables(self) -> list[_tables.Table]:
        header = ["file", "outcome", "clusters", "answers", "questions", "removed"]
        rows = [
            [f.file, f.outcome, str(f.clusters), str(f.answers), str(f.questions), str(f.removed)]
            for f in self.files
        ]
        return [_tables.Table("", header, rows)]

    def _notes(self) -> list[str]:
        warnings = [f"{file.file}: {text}" for file in self.files for text in file.warnings]
        return [str(file.error) for file in self.failed] + warnings


@dataclass(frozen=True)
class EmbeddingsImport:
    """The outcome of importing precomputed embeddings."""

    store: str
    model: str
    #: "imported", "replaced", "unchanged" or "moved". With the last two, the numbers are zero.
    outcome: str
    dimension: int
    answers: int
    questions: int
    #: Number of texts of the earlier version that were removed.
    removed: int
    #: Answers without questions are searchable but not trained on.
    answers_without_question: int
    #: Questions without an answer are stored but not trained on.
    questions_without_answer: int


@dataclass(frozen=True)
class EmbedResult:
    """Numbers of texts that were embedded."""

    store: str
    model: str
    dimension: int
    answers: int
    questions: int
    notes: list[str]


@dataclass(frozen=True)
class StoredModel:
    """A projection of a store."""

    id: int
    #: "multi_head", "residual" or "linear".
    kind: str
    name: Optional[str]
    #: The embedding model of queries, and that of answers.
    model: str
    answer_model: str
    temperature: Optional[float]
    heads: Optional[int]
    created_at: Optional[str]
    #: What was measured when it was trained.
    metrics: Optional[dict[str, Any]]
    #: Whether it is the active one of its embedding model.
    active: bool
    #: Whether it answers where neither a projection nor an embedding model is named.
    default: bool


def list_models(database: _call.StrPath) -> list[StoredModel]:
    """Lists the projections of a store in ascending order of id.

    Each embedding model has one active projection, which answers by default. Where none was
    activated yet, it is the newest.
    """
    name = _call.path("database", database)
    with store_lock(database).engine():
        found: Any = _work.report(lib.projection_store_models, _call.open_store(name))
    return [StoredModel(**model) for model in found]


def store_warnings(database: _call.StrPath) -> list[str]:
    """Says what a person should know before the store is used: values of a wrong type, with table
    and row, and files that another database in the folder names too. All tables are read."""
    name = _call.path("database", database)
    with store_lock(database).engine():
        found: Any = _work.report(lib.projection_store_warnings, _call.open_store(name))
    return list(found)


def activate_model(database: _call.StrPath, id: int) -> list[StoredModel]:
    """Makes a projection the active one of its embedding model, and returns the new list."""
    return _change_models(database, action="activate", id=_call.model_id("id", id))


def roll_back_model(
    database: _call.StrPath, model_name: Optional[str] = None
) -> list[StoredModel]:
    """Returns to the projection that was active before, and returns the new list. `model_name` is
    an embedding model; None stands for that of the last activation."""
    name = _call.optional_text("model_name", model_name)
    return _change_models(database, action="rollback", model_name=name)


def rename_model(database: _call.StrPath, id: int, name: Optional[str]) -> list[StoredModel]:
    """Renames a projection; None removes its name. Returns the new list."""
    number = _call.model_id("id", id)
    text = _call.optional_text("name", name)
    return _change_models(database, action="rename", id=number, name=text)


def delete_model(
    database: _call.StrPath, id: int, *, force: bool = False
) -> list[StoredModel]:
    """Deletes a projection with its files, and returns the new list. The active one is deleted
    only with `force`."""
    number = _call.model_id("id", id)
    return _change_models(database, action="delete", id=number, force=bool(force))


def _change_models(database: _call.StrPath, **change: Any) -> list[StoredModel]:
    name = _call.path("database", database)
    with store_lock(database).engine():
        store = _call.open_store(name, "write")
        found: Any = _work.report(
            lib.projection_store_change_models, store, _call.options(**change)
        )
    return [StoredModel(**model) for model in found]


def import_files(
    database: _call.StrPath,
    files: Union[_call.StrPath, Sequence[_call.StrPath]],
    *,
    retry_failed: bool = False,
    skip_invalid: bool = False,
    format: Optional[str] = None,
    question_column: Optional[str] = None,
    answer_column: Optional[str] = None,
    id_column: Optional[str] = None,
    split: Optional[str] = None,
    progress: _work.Progress = False,
) -> ImportResult:
    """Imports question-answer files, or folders of them, into the store whose database is the
    file `database`. The store is created if it does not exist.

    Files are JSON, JSONL, SQuAD, CSV, TSV or BEIR folders, compressed with gzip or not; name and
    content say which, unless `format` ("json", "jsonl", "csv" or "tsv") does. Questions, answers
    and the answers' ids are in the columns or fields `question_column`, `answer_column` and
    `id_column`, by default those with the usual names. Of a BEIR folder, the questions of `split`
    are imported, by default "train".

    Unchanged files are skipped; a changed file replaces its earlier import. A file that cannot
    be imported does not stop the others: see `failed` of the result. `retry_failed` first
    retries what failed or was interrupted before. `skip_invalid` leaves out entries that are
    wrong instead of refusing their file.
    """
    listed = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    names = [_call.path(f"files[{i}]", file).decode() for i, file in enumerate(listed)]
    pointers, keep = text_pointers("files", names)
    reading = _call.file_options(format, question_column, answer_column, id_column, split)
    options = _call.options(
        retry_failed=bool(retry_failed), skip_invalid=bool(skip_invalid), files=reading
    )
    name = _call.path("database", database)
    with store_lock(database).engine():
        report = _work.run(lib.projection_import, progress, name, pointers, len(keep), options)

    def file(found: dict[str, Any]) -> ImportedFile:
        error = found.pop("error", None)
        return ImportedFile(error=None if error is None else error["message"], **found)

    return ImportResult(report["store"], [file(found) for found in report["files"]])


def import_embeddings(
    database: _call.StrPath,
    *,
    model_name: str,
    answers: _call.StrPath,
    questions: _call.StrPath,
    labels: _call.StrPath,
    texts: Optional[_call.StrPath] = None,
) -> EmbeddingsImport:
    """Imports precomputed embeddings into a store, which is created if it does not exist.

    `answers` and `questions` are .npy files of vectors of the shapes (m, d) and (n, d). `labels`
    is a .npy file of n integers: for each question the row of its answer, or -1 if there is none.
    `texts` is a JSON file with a text for each row, {"answers": […], "questions": […]}.
    """
    options = _call.options(
        model_name=_call.optional_text("model_name", model_name),
        answers=_call.optional_path("answers", answers),
        questions=_call.optional_path("questions", questions),
        labels=_call.optional_path("labels", labels),
        texts=_call.optional_path("texts", texts),
    )
    store = _call.path("database", database)
    with store_lock(database).engine():
        report = _work.run(lib.projection_import_embeddings, False, store, options)
    return EmbeddingsImport(**report)


def embed_store(
    database: _call.StrPath,
    model_dir: _call.StrPath,
    *,
    model_name: Optional[str] = None,
    force: bool = False,
    no_titles: bool = False,
    progress: _work.Progress = True,
) -> EmbedResult:
    """Embeds every text of a store that has no vector yet, with the sentence-transformers model
    in `model_dir`. The store calls it `model_name`, by default the name of its folder. Answers that
    have a title are embedded with it, unless `no_titles` is set.

    Raises InvalidEmbedderError if another embedding model made the vectors that are there, unless
    `force` is set. If the work is cancelled, finished vectors are kept, and the next call
    continues.
    """
    options = _call.options(
        model_name=_call.optional_text("model_name", model_name),
        force=bool(force),
        no_titles=bool(no_titles),
    )
    store, folder = _call.path("database", database), _call.path("model_dir", model_dir)
    with store_lock(database).engine():
        report = _work.run(lib.projection_embed_store, progress, store, folder, options)
    return EmbedResult(**report)
