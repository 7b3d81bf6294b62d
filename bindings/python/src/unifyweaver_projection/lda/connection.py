"""The connection to a store's database, and what all groups of tables need of it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from .. import _call
from .._native import lib
from .._store_lock import store_lock
from .layout import Places

if TYPE_CHECKING:
    from types import TracebackType

    from .._call import StrPath

    #: A row as callers get it: the columns by their names.
    Row = dict[str, Any]

AnyStore = TypeVar("AnyStore", bound="StoreConnection")

#: Seconds that a writer waits for those of other processes.
_PATIENCE = 30.0


class StoreConnection:
    """An open store.

    Threads may share it: they take turns. `conn` is the connection of sqlite3, for queries of
    one's own; what they change is committed by the next method at the latest. No method
    leaves a transaction open.
    """

    SCHEMA_VERSION = 1

    #: Made by sqlite3, rows are `sqlite3.Row`.
    conn: sqlite3.Connection
    db_path: str
    embeddings_dir: str

    def __init__(self, db_path: StrPath, embeddings_dir: Optional[StrPath] = None) -> None:
        self.db_path = os.fspath(db_path)
        if self.db_path == ":memory:":
            raise ValueError("db_path is ':memory:', expected a file, as a store has files beside it")
        folder = os.path.dirname(self.db_path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        chosen = None if embeddings_dir is None else os.fspath(embeddings_dir)
        # The working folder may change later.
        database = os.path.abspath(self.db_path)
        self._database = database
        self._places = Places(database, None if chosen is None else os.path.abspath(chosen))
        self.embeddings_dir = chosen or os.path.join(folder, "embeddings")
        try:
            os.makedirs(self._places.embeddings, exist_ok=True)
        except OSError:
            pass  # Stores in folders that can't be written to may be read.
        self._lock = store_lock(database)
        with self._lock.engine():
            _call.open_store(_call.path("db_path", database), "create")
        with self._lock.python():
            self.conn = sqlite3.connect(database, timeout=_PATIENCE, check_same_thread=False)
            self.conn.row_factory = sqlite3.Row
            # Existing stores have rows that miss their counterpart. Ids are checked where
            # rows are added.
            self.conn.execute("PRAGMA foreign_keys = OFF")
            # Only a connection to a rollback journal holds no locks while it is idle.
            if self._value("PRAGMA journal_mode") == "wal":
                self.conn.execute("PRAGMA journal_mode = DELETE")
        # Changes that have no bearing on what searches keep in memory.
        self._irrelevant_changes = 0

    def close(self) -> None:
        """Closes the database. Closing twice does nothing."""
        with self._lock.python():
            self.conn.close()

    def __enter__(self: AnyStore) -> AnyStore:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock.python():
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A change that is there as a whole at the end, or not at all after an exception."""
        with self._lock.python():
            self.conn.commit()
            self.conn.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.conn.commit()
            except BaseException:
                self.conn.rollback()
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        # Fetched to the end: a query that is not keeps the database locked.
        with self._reading():
            return [dict(row) for row in self.conn.execute(sql, _plain(values)).fetchall()]

    def _row(self, sql: str, values: Sequence[Any] = ()) -> Optional[Row]:
        rows = self._rows(sql, values)
        return rows[0] if rows else None

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None where there is none."""
        with self._reading():
            rows = self.conn.execute(sql, _plain(values)).fetchall()
        return rows[0][0] if rows else None

    def _insert(self, sql: str, values: Sequence[Any]) -> int:
        """The id of a new row. Within :meth:`_writing`."""
        added = self.conn.execute(sql, _plain(values)).lastrowid
        assert added is not None, "an INSERT of one row gives its id"
        return added

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Within :meth:`_writing`."""
        self.conn.execute(sql, _plain(values))

    def _expect(self, table: str, column: str, ids: Iterable[Any], what: str) -> None:
        """Refuses ids that the database does not have."""
        for wanted in ids:
            known = self._value(f"SELECT 1 FROM {table} WHERE {column} = ?", (wanted,))
            if known is None:
                raise ValueError(f"{what} {wanted} not found")

    def _text_model(self, model_id: Any) -> Row:
        """A text model, which there must be."""
        row = self._row("SELECT * FROM embedding_models WHERE model_id = ?", (model_id,))
        if row is None:
            raise ValueError(f"Embedding model {model_id} not found")
        return row


def _plain(values: Sequence[Any]) -> list[Any]:
    """Numbers of NumPy as those that sqlite3 knows: it would store their bytes."""
    return [value.item() if hasattr(value, "dtype") and value.ndim == 0 else value for value in values]
