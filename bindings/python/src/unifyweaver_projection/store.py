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
        return [str(file.error) for file in self.failed]


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


def import_files(
    database: _call.StrPath,
    files: Union[_call.StrPath, Sequence[_call.StrPath]],
    *,
    retry_failed: bool = False,
    progress: _work.Progress = False,
) -> ImportResult:
    """Imports question-answer files, or folders of them, into the store whose database is the
    file `database`. The store is created if it does not exist.

    Unchanged files are skipped; a changed file replaces its earlier import. A file that cannot
    be imported does not stop the others: see `failed` of the result. `retry_failed` first
    retries what failed or was interrupted before.
    """
    listed = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    names = [_call.path(f"files[{i}]", file).decode() for i, file in enumerate(listed)]
    pointers, keep = text_pointers("files", names)
    options = _call.options(retry_failed=bool(retry_failed))
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
        report = _work.report(lib.projection_import_embeddings, store, options)
    return EmbeddingsImport(**report)


def embed_store(
    database: _call.StrPath,
    model_dir: _call.StrPath,
    *,
    model_name: Optional[str] = None,
    progress: _work.Progress = True,
) -> EmbedResult:
    """Embeds every text of a store that has no vector yet, with the sentence-transformers model
    in `model_dir`. The store calls it `model_name`, by default the name of its folder.

    If the work is cancelled, finished vectors are kept, and the next call continues.
    """
    name = ffi.NULL if model_name is None else _call.text("model_name", model_name)
    store, folder = _call.path("database", database), _call.path("model_dir", model_dir)
    with store_lock(database).engine():
        report = _work.run(lib.projection_embed_store, progress, store, folder, name)
    return EmbedResult(**report)
