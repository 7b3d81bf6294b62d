"""One SQLite at a time in this process.

The engine has an SQLite of its own beside Python's, and the two do not know of each other:
the system's file locks are those of the process, so that neither waits for the other, and
when one closes the database, the locks of both are gone. Other processes are not concerned:
there the locks work.

Whoever uses a store's database holds its :class:`StoreLock` meanwhile, and has ended its
transaction when it gives it back.
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
    """The lock of one database. One thread holds it at a time, as often as it likes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Which of the two the thread that holds the lock is in.
        self._in_python = 0
        self._in_engine = 0

    @contextmanager
    def python(self) -> Iterator[None]:
        """While Python's sqlite3 uses the database."""
        with self._lock:
            if self._in_engine:
                raise RuntimeError(
                    "the store is in use by the call that this one is made from, expected it "
                    "to be used before or afterwards"
                )
            self._in_python += 1
            try:
                yield
            finally:
                self._in_python -= 1

    @contextmanager
    def engine(self) -> Iterator[None]:
        """While the engine opens, reads or changes the database."""
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
    """The lock of the database at a path. Keep it for as long as the database is in use."""
    path = os.path.realpath(database)
    with _guard:
        lock = _locks.get(path)
        if lock is None:
            lock = _locks[path] = StoreLock()
        return lock
