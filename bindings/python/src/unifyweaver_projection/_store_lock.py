"""A lock that keeps Python's SQLite and the engine's SQLite from using a database at once.

The process contains two copies of SQLite, Python's and the engine's. POSIX file locks belong to
the process: neither copy waits for the other, and when one of them closes the database, the
locks of both are lost. Between processes, file locks work as usual.

Code that uses a store's database holds the :class:`StoreLock` of the database, and ends its
transaction before it releases the lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from ._call import StrPath


class StoreLock:
    """The reentrant lock of one database."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # How often the thread that holds the lock has entered each of the two.
        self._in_python = 0
        self._in_engine = 0

    @contextmanager
    def python(self) -> Iterator[None]:
        """Held while Python's sqlite3 uses the database."""
        with self._lock:
            if self._in_engine:
                raise RuntimeError(
                    "the store is in use by the engine's call that invoked this code; use the "
                    "store before or after that call"
                )
            self._in_python += 1
            try:
                yield
            finally:
                self._in_python -= 1

    @contextmanager
    def engine(self) -> Iterator[None]:
        """Held while the engine opens, reads or changes the database."""
        with self._lock:
            if self._in_python:
                raise RuntimeError("the engine is called within a transaction on its store")
            self._in_engine += 1
            try:
                yield
            finally:
                self._in_engine -= 1


_locks: WeakValueDictionary[str, StoreLock] = WeakValueDictionary()
_guard = threading.Lock()


def store_lock(database: StrPath) -> StoreLock:
    """Returns the lock of the database at a path. Keep it as long as the database is in use."""
    path = os.path.realpath(database)
    with _guard:
        lock = _locks.get(path)
        if lock is None:
            lock = _locks[path] = StoreLock()
        return lock
