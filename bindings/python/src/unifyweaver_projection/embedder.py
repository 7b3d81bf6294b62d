"""Text to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _call
from ._arrays import F32
from ._native import ffi, lib
from .errors import ArgumentTypeError

if TYPE_CHECKING:
    from ._arrays import Floats
    from ._call import StrPath


class Embedder(_call.Handle):
    """A local sentence-transformers model, such as all-MiniLM-L6-v2.

    It is immutable, and any number of threads may use it at once. As a context manager, it is
    closed at the end of the block.
    """

    _dim: int
    _folder: str

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
        return embedder

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
        :meth:`embed`. One unusable text fails the whole batch."""
        native = self._live()
        words, keep = text_pointers("texts", texts)
        vectors: Floats = np.empty((len(keep), self._dim), F32)
        _call.call(
            lib.projection_embedder_embed_batch,
            native,
            words,
            len(keep),
            _arrays.pointer(vectors),
            vectors.size,
        )
        return vectors

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"<Embedder {self._folder}: {self._dim} values{closed}>"


def text_pointers(name: str, texts: Sequence[str]) -> tuple[Any, list[Any]]:
    """Returns an array of C texts, and the objects that must be kept while it is used."""
    if isinstance(texts, (str, bytes)):
        raise ArgumentTypeError(
            f"{name} is of type {type(texts).__name__}, expected a sequence of texts"
        )
    try:
        listed = list(texts)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(texts).__name__}, expected a sequence of texts"
        ) from None
    keep = [ffi.new("char[]", _call.text(f"{name}[{i}]", t)) for i, t in enumerate(listed)]
    return ffi.new("const char *[]", keep), keep
