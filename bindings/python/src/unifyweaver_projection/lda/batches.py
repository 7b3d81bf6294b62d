"""Training batches: which question-answer files are in the store, and how far they got."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Optional

from .connection import StoreConnection

if TYPE_CHECKING:
    from .._call import StrPath
    from .connection import Row

#: In the order that a batch goes through them; `failed` may follow any.
_STATUSES = ("pending", "importing", "embedding", "training", "completed", "failed")


class Batches(StoreConnection):
    """The tables `training_batches` and `batch_status_history`.

    A batch is one version of a file, known by its path and the SHA-256 of its bytes. Paths
    are recorded as the engine records them, so that `projection import` and this class speak
    of the same batches: relative to the database's folder where the file lies below it, else
    absolute. Rows have them as paths that open.
    """

    @staticmethod
    def compute_file_hash(file_path: StrPath) -> str:
        """SHA-256 of a file's bytes, in hexadecimal."""
        digest = hashlib.sha256()
        with open(file_path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def register_batch(
        self, source_file: StrPath, model_name: Optional[str] = None
    ) -> tuple[int, str]:
        """Registers a version of a file. Gives the batch's id, and "new", or "modified" where
        another version is known, or "unchanged" where this one is.

        Raises FileNotFoundError or another OSError where the file can't be read.
        """
        digest = self.compute_file_hash(source_file)
        recorded, *others = self._recorded_names(source_file)
        names = (recorded, *others)
        places = ", ".join("?" * len(names))
        with self._writing():
            known = self._rows(
                f"SELECT batch_id, file_hash FROM training_batches WHERE source_file IN ({places}) "
                f"ORDER BY batch_id",
                names,
            )
            same = [row["batch_id"] for row in known if row["file_hash"] == digest]
            if same:
                return same[0], "unchanged"
            batch_id = self._insert(
                "INSERT INTO training_batches (source_file, file_hash, status, model_name) "
                "VALUES (?, ?, 'pending', ?)",
                (recorded, digest, model_name),
            )
            self._add_history(batch_id, "pending", "registered")
        return batch_id, "modified" if known else "new"

    def scan_for_new_batches(
        self, directory: StrPath, model_name: Optional[str] = None
    ) -> list[tuple[int, str]]:
        """Registers the files of a folder whose names end in .json, in the order of their
        names. Gives what :meth:`register_batch` gave for those that are new or modified."""
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
        """Moves a batch to another status and adds to its history; numbers that are None stay
        as they are. The error message of a failed batch is `error_message`, else `message`; a
        batch of another status has none.

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
        """The batch with an id; None where there is none."""
        return next(iter(self._batches("batch_id = ?", (batch_id,))), None)

    def get_batch_by_file(self, source_file: StrPath) -> list[Row]:
        """The versions of a file that are known, the newest first."""
        names = self._recorded_names(source_file)
        places = ", ".join("?" * len(names))
        return self._batches(f"source_file IN ({places})", names, "DESC")

    def get_pending_batches(self) -> list[Row]:
        """Batches that wait to be imported, the oldest first."""
        return self._batches("status = 'pending'")

    def get_failed_batches(self) -> list[Row]:
        """Batches that failed, the newest first."""
        return self._batches("status = 'failed'", order="DESC")

    def list_batches(self, status: Optional[str] = None) -> list[Row]:
        """All batches, or those of a status, the newest first."""
        return self._batches("?1 IS NULL OR status = ?1", (status or None,), "DESC")

    def get_batch_history(self, batch_id: int) -> list[Row]:
        """The statuses that a batch went through, the oldest first."""
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
            found = os.path.join(os.path.dirname(self.db_path), row["source_file"])
            if os.path.exists(found):
                row["source_file"] = found
        return rows

    def _recorded_names(self, source_file: StrPath) -> tuple[str, ...]:
        """How the database records a file, and how existing programs may have recorded it."""
        given = os.fspath(source_file)
        absolute = os.path.realpath(given)
        recorded = self._places.recorded(absolute)
        return tuple(dict.fromkeys((recorded, given, absolute)))


def _is_json(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".json") and entry.is_file()
