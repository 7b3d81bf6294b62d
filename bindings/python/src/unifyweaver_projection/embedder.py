"""Text to vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from . import _arrays, _call, _work
from ._arrays import F32
from ._native import ffi, lib
from .errors import ArgumentTypeError, InvalidEmbedderError

if TYPE_CHECKING:
    from ._arrays import Floats
    from ._call import StrPath

#: A text that models and settings of all sorts embed differently, longer than they read.
_PROBE = "How do I read a CSV FILE? Größe, naïve café, 東京, 3.14; " * 60


class Embedder(_call.Immutable):
    """A local sentence-transformers model, such as all-MiniLM-L6-v2.

    It is immutable, and any number of threads may use it at once. As a context manager, it is
    closed at the end of the block.

    It can be pickled, as the path of its folder: another process loads the model again, and raises
    InvalidEmbedderError if it computes other vectors. Copies share its memory.
    """

    _dim: int
    #: The folder as it was passed, and its absolute path.
    _folder: str
    _path: str

    def __init__(self) -> None:
        raise TypeError("Embedder has no constructor: use Embedder.load")

    @classmethod
    def load(cls, folder: StrPath) -> Embedder:
        """Loads the model in `folder`.

        Raises NotFoundError if the folder or one of its files is missing, and
        InvalidEmbedderError if a file is damaged or the model is of an unknown kind.
        """
        name = _call.path("folder", folder)
        embedder = cls.__new__(cls)
        embedder._object = _call.make(
            "projection_embedder **", lib.projection_embedder_free, lib.projection_embedder_load, name
        )
        embedder._dim = int(lib.projection_embedder_dim(embedder._object))
        embedder._folder = name.decode()
        embedder._path = os.path.abspath(embedder._folder)
        return embedder

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_same, (type(self), self._path, self.embed(_PROBE))

    def check_store(self, database: StrPath, model_name: Optional[str] = None) -> None:
        """Raises InvalidEmbedderError if another embedding model made the vectors of the store
        whose database is the file `database`, and DimensionMismatchError for another dimension.
        `model_name` is the embedding model in the store; None stands for the only one there is.

        The store records a fingerprint of the model that embedded it. If it has none, a few
        stored texts are embedded and compared with their vectors.
        """
        native, file = self._live(), _call.path("database", database)
        name = ffi.NULL if model_name is None else _call.text("model_name", model_name)
        store = _call.make(
            "projection_store **", lib.projection_store_free, lib.projection_store_open, file, ffi.NULL
        )
        _call.call(lib.projection_store_check_embedder, store, name, native)

    @property
    def dim(self) -> int:
        """Dimension of the vectors; available after :meth:`close`."""
        return self._dim

    def embed(self, text: str) -> Floats:
        """Returns the vector of a text, of shape (dim,)."""
        native = self._live()
        words = _call.text("text", text)
        vector: Floats = np.empty(self._dim, F32)
        _call.call(
            lib.projection_embedder_embed, native, words, _arrays.pointer(vector), vector.size
        )
        return vector

    def embed_batch(self, texts: Sequence[str]) -> Floats:
        """Returns the vectors of n texts, of shape (n, dim); faster than n calls of
        :meth:`embed`. One unusable text fails the whole batch. Ctrl-C ends it within a second."""
        native = self._live()
        words, keep = text_pointers("texts", texts)
        vectors: Floats = np.empty((len(keep), self._dim), F32)
        pointer, embed = _arrays.pointer(vectors), lib.projection_embedder_embed_batch
        _work.interruptible(
            lambda progress: _call.call(
                embed, native, words, len(keep), progress, ffi.NULL, pointer, vectors.size
            )
        )
        return vectors

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"<Embedder {self._folder}: {self._dim} values{closed}>"


def _load_same(cls: type[Embedder], folder: str, expected: Floats) -> Embedder:
    """Loads a pickled embedder, whose vector of :data:`_PROBE` was `expected`."""
    embedder = cls.load(folder)
    found = embedder.embed(_PROBE)
    # Another kind of processor may round the last bits differently.
    if found.shape != expected.shape or np.abs(found - expected).max() > 1e-4:
        raise InvalidEmbedderError(
            f"{folder}: the model computes other vectors than the one that was pickled; load the "
            f"model that is meant"
        )
    return embedder


def text_pointers(name: str, texts: Sequence[str]) -> tuple[Any, list[Any]]:
    """Returns an array of C texts, and the objects that must be kept while it is used."""
    if isinstance(texts, (str, bytes)):
        raise ArgumentTypeError(
            f"{name} is of type {type(texts).__name__}, expected a sequence of texts"
        )
    try:
        # Arrow's arrays hold objects of their own.
        listed = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(texts).__name__}, expected a sequence of texts"
        ) from None
    keep = [ffi.new("char[]", _call.text(f"{name}[{i}]", t)) for i, t in enumerate(listed)]
    return ffi.new("const char *[]", keep), keep
