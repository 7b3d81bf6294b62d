"""The connection to a store's database, shared by the classes of all groups of tables."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from .. import _call
from .._store_lock import store_lock
from ..errors import ArgumentTypeError
from .files import StagedFiles
from .store_files import StoreFiles

if TYPE_CHECKING:
    from types import TracebackType

    from .._call import StrPath

    #: A row: its values by column name.
    Row = dict[str, Any]

#: The storage classes that values may have, by the declared type of their column.
_STORED_AS = {
    "INTEGER": "'integer', 'null'",
    "REAL": "'real', 'integer', 'null'",
    "TEXT": "'text', 'null'",
}

AnyStore = TypeVar("AnyStore", bound="StoreConnection")

#: Seconds that a writer waits for writers of other processes.
_BUSY_TIMEOUT = 30.0


class StoreConnection:
    """An open store.

    Threads may share it; their calls wait for each other. `conn` is the sqlite3 connection for
    queries of the caller; their changes are committed by the next method at the latest. No
    method leaves a transaction open.
    """

    SCHEMA_VERSION = 1

    #: Its rows are `sqlite3.Row`.
    conn: sqlite3.Connection
    db_path: str
    embeddings_dir: str

    def __init__(self, db_path: StrPath, embeddings_dir: Optional[StrPath] = None) -> None:
        self.db_path = os.fspath(db_path)
        if self.db_path == ":memory:":
            raise ValueError("db_path is ':memory:', expected a file: a store has files beside it")
        folder = os.path.dirname(self.db_path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        chosen = None if embeddings_dir is None else os.fspath(embeddings_dir)
        # Absolute, because the working directory may change later. Where the database is a link,
        # arrays are beside the file that it leads to.
        database = os.path.abspath(self.db_path)
        if os.path.islink(database):
            database = os.path.realpath(database)
            folder = os.path.dirname(database)
        self._database = database
        self._files = StoreFiles(database, None if chosen is None else os.path.abspath(chosen))
        self.embeddings_dir = chosen or os.path.join(folder, "embeddings")
        try:
            os.makedirs(self._files.embeddings, exist_ok=True)
        except OSError:
            pass  # A store in a read-only folder can still be read.
        self._lock = store_lock(database)
        with self._lock.engine():
            _call.open_store(_call.path("db_path", database), "create")
        with self._lock.python():
            self.conn = sqlite3.connect(database, timeout=_BUSY_TIMEOUT, check_same_thread=False)
            self.conn.row_factory = sqlite3.Row
            # Rows of existing stores may refer to rows that do not exist. Ids are checked when
            # rows are added.
            self.conn.execute("PRAGMA foreign_keys = OFF")
            self._refuse_odd_values()
            # An idle connection holds no locks only in rollback mode.
            if self._value("PRAGMA journal_mode") == "wal":
                self.conn.execute("PRAGMA journal_mode = DELETE")
        # Number of changes that do not affect what searches keep in memory.
        self._irrelevant_changes = 0

    def _refuse_odd_values(self) -> None:
        """Lets this connection, whoever uses it, refuse values of another type than the column's:
        sqlite3 stores bytes and arrays as BLOBs, and other programs can't read such rows."""
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        for (table,) in self.conn.execute(names).fetchall():
            checks = []
            for column in self.conn.execute(f'PRAGMA table_info("{table}")').fetchall():
                name, allowed = column["name"], _STORED_AS.get(column["type"].upper())
                wrong = f"typeof(NEW.\"{name}\") NOT IN ({allowed})" if allowed else (
                    f"typeof(NEW.\"{name}\") = 'blob'"
                )
                expected = column["type"].lower() or "text or a number"
                message = f"{table}.{name}: value of another type, expected {expected}"
                checks.append(f"SELECT RAISE(ABORT, '{message}') WHERE {wrong};")
            for event in ("INSERT", "UPDATE"):
                self.conn.execute(
                    f'CREATE TEMP TRIGGER "refuse_{event}_{table}" AFTER {event} ON main."{table}" '
                    f"BEGIN {' '.join(checks)} END"
                )

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

    def _staged_files(self) -> StagedFiles:
        return StagedFiles(self._database)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock.python():
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction, which an exception rolls back."""
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
        # All rows are fetched, because an unfinished query keeps the database locked.
        with self._reading():
            return [dict(row) for row in self.conn.execute(sql, _plain(values)).fetchall()]

    def _row(self, sql: str, values: Sequence[Any] = ()) -> Optional[Row]:
        rows = self._rows(sql, values)
        return rows[0] if rows else None

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Returns the first column of the first row; None if there is no row."""
        with self._reading():
            rows = self.conn.execute(sql, _plain(values)).fetchall()
        return rows[0][0] if rows else None

    def _insert(self, sql: str, values: Sequence[Any]) -> int:
        """Inserts a row and returns its id. Needs a transaction of :meth:`_writing`."""
        added = self.conn.execute(sql, _plain(values)).lastrowid
        assert added is not None, "an INSERT of one row has an id"
        return added

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Changes rows and returns their number. Needs a transaction of :meth:`_writing`."""
        return self.conn.execute(sql, _plain(values)).rowcount

    def _expect(self, table: str, column: str, ids: Iterable[Any], what: str) -> None:
        """Raises ValueError if the database does not have one of the ids."""
        for wanted in ids:
            known = self._value(f"SELECT 1 FROM {table} WHERE {column} = ?", (wanted,))
            if known is None:
                raise ValueError(f"{what} {wanted} not found")

    def _embedding_model(self, model_id: Any) -> Row:
        """Returns an embedding model. Raises ValueError if it does not exist."""
        row = self._row("SELECT * FROM embedding_models WHERE model_id = ?", (model_id,))
        if row is None:
            raise ValueError(f"Embedding model {model_id} not found")
        return row


def _plain(values: Sequence[Any]) -> list[Any]:
    """Converts NumPy's numbers and texts to Python's. sqlite3 would store them as bytes, as it does
    arrays and all else that has a buffer: no program reads such a row."""

    def plain(value: Any) -> Any:
        if hasattr(value, "dtype") and value.ndim == 0:
            value = value.item()
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise ArgumentTypeError(
            f"{value!r:.60} is of type {type(value).__name__}, expected a text, a number or None"
        )

    return [plain(value) for value in values]
