"""Training batches: the question-answer files of a store and their status."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Optional

from .connection import StoreConnection

if TYPE_CHECKING:
    from .._call import StrPath
    from .connection import Row

#: In the order of a batch's life; `failed` may follow any.
_STATUSES = ("pending", "importing", "embedding", "training", "completed", "failed")


class Batches(StoreConnection):
    """The tables `training_batches` and `batch_status_history`.

    A batch is one version of a file, identified by its path and the SHA-256 of its bytes. Paths
    in the database are those of `projection import`: relative to the database if the file is in
    the store's folder, else absolute. Rows have paths that can be opened.
    """

    @staticmethod
    def compute_file_hash(file_path: StrPath) -> str:
        """Returns the SHA-256 of a file's bytes in hexadecimal."""
        digest = hashlib.sha256()
        with open(file_path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def register_batch(
        self, source_file: StrPath, model_name: Optional[str] = None
    ) -> tuple[int, str]:
        """Registers a version of a file. Returns the batch's id and "new", "modified" if another
        version of the file is registered, or "unchanged" if this version is.

        Raises FileNotFoundError or another OSError if the file can't be read.
        """
        digest = self.compute_file_hash(source_file)
        names = self._names_in_database(source_file)
        placeholders = ", ".join("?" * len(names))
        with self._writing():
            known = self._rows(
                f"SELECT batch_id, file_hash FROM training_batches WHERE source_file IN ({placeholders}) "
                f"ORDER BY batch_id",
                names,
            )
            same = [row["batch_id"] for row in known if row["file_hash"] == digest]
            if same:
                return same[0], "unchanged"
            batch_id = self._insert(
                "INSERT INTO training_batches (source_file, file_hash, status, model_name) "
                "VALUES (?, ?, 'pending', ?)",
                (names[0], digest, model_name),
            )
            self._add_history(batch_id, "pending", "registered")
        return batch_id, "modified" if known else "new"

    def scan_for_new_batches(
        self, directory: StrPath, model_name: Optional[str] = None
    ) -> list[tuple[int, str]]:
        """Registers the files of a folder whose names end in .json, in the order of their
        names. Returns the results of :meth:`register_batch` for new and modified files."""
        files = sorted(entry.path for entry in os.scandir(directory) if _is_json(entry))
        registered = [self.register_batch(file, model_name) for file in files]
        return [(batch_id, status) for batch_id, status in registered if status != "unchanged"]

    def update_batch_status(
        self,
        batch_id: int,
        status: str,
        message: Optional[str] = None,
        num_clusters: Optional[int] = None,
        num_questions: Optional[int] = None,
        projection_id: Optional[int] = None,
        error_message: Optional[str] = None,
    ) -> None:
        """Changes the status of a batch and adds to its history. Numbers that are None stay as
        they are. The error message of a failed batch is `error_message`, else `message`; a batch
        of another status has none.

        Raises ValueError for an unknown batch or status.
        """
        if status not in _STATUSES:
            raise ValueError(f"status is {status!r}, expected one of {', '.join(_STATUSES)}")
        failure = error_message or (message if status == "failed" else None)
        with self._writing():
            self._expect("training_batches", "batch_id", [batch_id], "Batch")
            self._execute(
                "UPDATE training_batches SET status = ?2, error_message = ?3, "
                "started_at = CASE WHEN ?2 IN ('importing', 'embedding', 'training') "
                "THEN coalesce(started_at, CURRENT_TIMESTAMP) ELSE started_at END, "
                "completed_at = CASE WHEN ?2 IN ('completed', 'failed') "
                "THEN CURRENT_TIMESTAMP END, "
                "num_clusters = coalesce(?4, num_clusters), "
                "num_questions = coalesce(?5, num_questions), "
                "projection_id = coalesce(?6, projection_id) WHERE batch_id = ?1",
                (batch_id, status, failure, num_clusters, num_questions, projection_id),
            )
            self._add_history(batch_id, status, message or error_message)

    def get_batch(self, batch_id: int) -> Optional[Row]:
        """Returns the batch with an id; None if there is none."""
        return next(iter(self._batches("batch_id = ?", (batch_id,))), None)

    def get_batch_by_file(self, source_file: StrPath) -> list[Row]:
        """Returns the registered versions of a file, the newest first."""
        names = self._names_in_database(source_file)
        placeholders = ", ".join("?" * len(names))
        return self._batches(f"source_file IN ({placeholders})", names, "DESC")

    def get_pending_batches(self) -> list[Row]:
        """Returns the batches that wait to be imported, the oldest first."""
        return self._batches("status = 'pending'")

    def get_failed_batches(self) -> list[Row]:
        """Returns the failed batches, the newest first."""
        return self._batches("status = 'failed'", order="DESC")

    def list_batches(self, status: Optional[str] = None) -> list[Row]:
        """Returns all batches, or the batches with a status, the newest first."""
        return self._batches("?1 IS NULL OR status = ?1", (status or None,), "DESC")

    def get_batch_history(self, batch_id: int) -> list[Row]:
        """Returns the statuses that a batch has had, the oldest first."""
        return self._rows(
            "SELECT * FROM batch_status_history WHERE batch_id = ? ORDER BY history_id",
            (batch_id,),
        )

    def _add_history(self, batch_id: int, status: str, message: Optional[str]) -> None:
        self._insert(
            "INSERT INTO batch_status_history (batch_id, status, message) VALUES (?, ?, ?)",
            (batch_id, status, message),
        )

    def _batches(
        self, where: str, values: tuple[object, ...] = (), order: str = "ASC"
    ) -> list[Row]:
        rows = self._rows(
            f"SELECT * FROM training_batches WHERE {where} "
            f"ORDER BY created_at {order}, batch_id {order}",
            values,
        )
        for row in rows:
            path = os.path.join(self._files.store, row["source_file"])
            if os.path.exists(path):
                row["source_file"] = path
        return rows

    def _names_in_database(self, source_file: StrPath) -> tuple[str, ...]:
        """Returns the path in the database of a file, followed by the other paths that existing
        programs may have stored for it."""
        given = os.fspath(source_file)
        absolute = os.path.realpath(given)
        return tuple(dict.fromkeys((self._files.path_in_database(absolute), given, absolute)))


def _is_json(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".json") and entry.is_file()
