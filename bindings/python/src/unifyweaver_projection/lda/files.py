"""Array files: float32, written under temporary names and renamed when they are on disk.

Readers see either the old or the new file, never a partial one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import as_floats
from ..errors import DimensionMismatchError, NotFiniteError, ZeroVectorError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Optional

    from .._arrays import ArrayLike, Floats

#: For this many files or more, syncing the whole disk is faster than syncing each file.
_SYNC_DISK_FROM = 16


def checked_vector(name: str, values: ArrayLike, dimension: int) -> Floats:
    """Returns a non-zero vector of an embedding model's dimension. A matrix of one row counts as
    a vector."""
    array = as_floats(name, values, (1, 2))
    if array.ndim == 2 and array.shape[0] != 1:
        raise DimensionMismatchError(
            f"{name} has the shape {array.shape}, expected ({dimension},)"
        )
    array = array.reshape(-1)
    if array.size != dimension:
        raise DimensionMismatchError(
            f"{name} has {array.size} values, expected {dimension}, the embedding model's dimension"
        )
    _check_finite(name, array)
    if not array.any():
        raise ZeroVectorError(f"{name} is zero, expected a vector with a direction")
    return array


def checked_matrix(name: str, values: ArrayLike, shape: tuple[int, int]) -> Floats:
    """Returns a matrix of the shape that follows from the embedding models."""
    array = as_floats(name, values, (2,))
    if array.shape != shape:
        raise DimensionMismatchError(
            f"{name} has the shape {array.shape}, expected {shape}, the dimensions of the "
            f"embedding models of answers and of queries"
        )
    _check_finite(name, array)
    return array


def _check_finite(name: str, array: Floats) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        at = np.argwhere(~finite)[0]
        where = int(at[0]) if array.ndim == 1 else tuple(int(i) for i in at)
        raise NotFiniteError(
            f"{name} holds {float(array[tuple(at)])} at {where}, expected finite float32 values"
        )


def load(path: str) -> Any:
    """Loads an array with its stored dtype."""
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_vector(path: str) -> Any:
    """Loads a vector with its stored dtype. Some programs store matrices of one row."""
    array = load(path)
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 1:
        raise ValueError(f"{path}: array of shape {array.shape}, expected a vector")
    return array


class StagedFiles:
    """Files that get their final names together, when :meth:`publish` is called. The caller holds
    the write lock of `database`, because the engine removes temporary files when it holds the
    lock."""

    def __init__(self, database: str) -> None:
        self._files: list[tuple[str, str]] = []
        # Other databases in the folder know by this that the temporary files are not theirs.
        self._tag = hashlib.sha256(os.path.basename(database).encode()).hexdigest()[:8]

    def __enter__(self) -> StagedFiles:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for temporary, _ in self._files:
            try:
                os.remove(temporary)
            except OSError:
                pass  # It has been renamed, or was never written.

    def add(self, path: str, values: Floats) -> None:
        """Writes an array to a temporary file that :meth:`publish` renames to `path`."""
        folder, name = os.path.split(path)
        os.makedirs(folder or ".", exist_ok=True)
        unique = f"{self._tag}.{os.getpid()}_{threading.get_ident()}"
        temporary = os.path.join(folder, f".{name}.{unique}.npy.tmp")
        self._files.append((temporary, path))
        with open(temporary, "wb") as file:
            np.save(file, values)

    def publish(self) -> None:
        """Waits until all files are on disk, and renames them. Raises FileExistsError, and keeps
        none, if one exists: it may be another store's."""
        if len(self._files) >= _SYNC_DISK_FROM and hasattr(os, "sync"):
            os.sync()
        else:
            for temporary, _ in self._files:
                _sync(temporary, os.O_RDWR)
        published = []
        try:
            for temporary, path in self._files:
                _rename(temporary, path)
                published.append(path)
        except BaseException:
            for path in published:
                os.remove(path)
            raise
        if os.name == "posix":
            for folder in {os.path.dirname(path) or "." for _, path in self._files}:
                _sync(folder, os.O_RDONLY)
        self._files.clear()


def _rename(temporary: str, path: str) -> None:
    """Renames a file; the new name must be free."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise FileExistsError(
            f"{path} exists and is in no row of this store: it may be another store's, or left of "
            f"an interrupted write"
        ) from None
    except OSError:
        os.replace(temporary, path)  # The file system has no links.
    else:
        os.remove(temporary)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
