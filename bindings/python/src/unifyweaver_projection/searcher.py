"""Search for answers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np

from . import _arrays, _call, _work, explanation
from ._native import ffi, lib
from ._store_lock import StoreLock, store_lock
from .embedder import text_pointers
from .errors import (
    ArgumentTypeError,
    BufferSizeError,
    InvalidArgumentError,
    InvalidStoreError,
)
from .index import IndexStats, measured
from .model import Model

if TYPE_CHECKING:
    from ._arrays import ArrayLike, Floats, Ids
    from ._call import StrPath
    from .explanation import Explanation

_SCORE_MODES = {
    "seen_unseen": lib.PROJECTION_SCORE_MODE_SEEN_UNSEEN,
    "cosine": lib.PROJECTION_SCORE_MODE_COSINE,
    "max_nearest_question": lib.PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION,
}
#: PROJECTION_HYBRID_WEIGHT_OF_MODEL of the header; cffi can't declare floating-point constants.
_WEIGHT_OF_MODEL = -1.0
_NO_IDS = np.zeros(1, np.int64)


class Hit(NamedTuple):
    """An answer found by a search."""

    #: The answer's id in the store, or in the ids passed to :meth:`Searcher.from_vectors`.
    answer_id: int
    #: Cosine of the (projected) query and the answer, unless options ask for another score.
    score: float
    #: The answer's text; None if it has none.
    text: Optional[str]


class Searcher(_call.Handle):
    """Finds the answers nearest to a query. Search is exact unless :meth:`build_index` was called.

    A searcher of a store is a snapshot: answers embedded later are found by searchers that are
    opened later, or after :meth:`add`. Any number of threads may use a searcher at once. As a
    context manager, it is closed at the end of the block.

    A searcher of a store that has not been changed since can be pickled and copied, as the path of
    the store: another process opens the store again, and raises InvalidStoreError if its answers
    have changed.
    """

    _len: int
    _dim: int
    # The lock of the store that the searcher comes from, if any: explanations read the store.
    _lock: Optional[StoreLock] = None
    # The store's absolute path and the embedding model's name; None if the searcher does not come
    # from a store, or no longer is what the store contains.
    _origin: Optional[tuple[str, Optional[str]]] = None

    def __init__(self) -> None:
        raise TypeError("Searcher has no constructor: use Searcher.open or Searcher.from_vectors")

    @classmethod
    def _take(cls, function: Any, *arguments: Any) -> Searcher:
        searcher = cls.__new__(cls)
        searcher._object = _call.make(
            "projection_searcher **", lib.projection_searcher_free, function, *arguments
        )
        searcher._len = int(lib.projection_searcher_len(searcher._object))
        searcher._dim = int(lib.projection_searcher_dim(searcher._object))
        return searcher

    @classmethod
    def open(cls, database: StrPath, model_name: Optional[str] = None) -> Searcher:
        """Reads the answers of the store whose database is the file `database`.

        `model_name` is the embedding model whose vectors are read; None stands for the only one
        there is.

        Raises NotFoundError if the database, the embedding model or a vector does not exist,
        AmbiguousModelError if a name is needed, and InvalidStoreError if the file is not a store.
        """
        name = ffi.NULL if model_name is None else _call.text("model_name", model_name)
        path, lock = _call.path("database", database), store_lock(database)
        with lock.engine():
            searcher = cls._take(lib.projection_store_searcher, _call.open_store(path), name)
        searcher._lock = lock
        searcher._origin = (os.path.abspath(path.decode()), model_name)
        return searcher

    @classmethod
    def from_vectors(cls, ids: ArrayLike, vectors: ArrayLike) -> Searcher:
        """Creates a searcher of `vectors` of shape (n, dim), which are copied and need not have
        unit length. `ids` are n different integers."""
        array = _arrays.as_floats("vectors", vectors, (2,))
        kept = _ids("ids", ids, array.shape[0])
        return cls._take(
            lib.projection_searcher_from_vectors,
            _arrays.id_pointer(kept),
            _arrays.pointer(array),
            *array.shape,
        )

    def add(
        self, ids: ArrayLike, vectors: ArrayLike, texts: Optional[Sequence[str]] = None
    ) -> None:
        """Adds answers: n ids that the searcher does not have, their vectors of shape (n, dim),
        and their texts. The store does not change. After an error, nothing is added."""
        self._put(lib.projection_searcher_add, ids, vectors, texts)

    def replace(
        self, ids: ArrayLike, vectors: ArrayLike, texts: Optional[Sequence[str]] = None
    ) -> None:
        """Adds answers as :meth:`add` does; those that the searcher has already get the new vector
        and the new text, or none. A search in another thread finds the old answers or the new ones:
        no answer is missing meanwhile, as it would be between :meth:`remove` and :meth:`add`. After
        an error, nothing has changed."""
        self._put(lib.projection_searcher_replace, ids, vectors, texts)

    def _put(
        self, put: Any, ids: ArrayLike, vectors: ArrayLike, texts: Optional[Sequence[str]]
    ) -> None:
        native = self._live()
        array = _arrays.as_floats("vectors", vectors, (2,), self._dim)
        kept = _ids("ids", ids, array.shape[0])
        words, keep = ffi.NULL, None
        if texts is not None:
            words, keep = text_pointers("texts", texts)
            if len(keep) != kept.size:
                raise BufferSizeError(f"texts has {len(keep)} entries, expected {kept.size}")
        _call.call(
            put,
            native,
            _arrays.id_pointer(kept),
            _arrays.pointer(array),
            *array.shape,
            words,
        )
        self._origin = None
        self._len = int(lib.projection_searcher_len(native))

    def remove(self, ids: ArrayLike) -> int:
        """Removes the answers with these ids and returns the number of removed answers. Unknown
        ids are ignored. The store does not change."""
        native, kept, removed = self._live(), _ids("ids", ids), ffi.new("size_t *")
        _call.call(
            lib.projection_searcher_remove, native, _arrays.id_pointer(kept), kept.size, removed
        )
        self._origin = None
        self._len = int(lib.projection_searcher_len(native))
        return int(removed[0])

    def build_index(
        self,
        queries: Optional[ArrayLike] = None,
        *,
        model: Optional[Model] = None,
        threads: int = 1,
    ) -> IndexStats:
        """Builds an approximate index of the answers, so that a query is compared with a few of
        them only. Held-out queries find at least 99% of the nearest answers. If the index cannot
        reach that, or if there are fewer than 16,384 answers, search stays exact.

        `queries` of shape (n, dim) are queries that resemble later ones; `model`, if there is
        one, projects them. A few hundred make sure that the 99% hold for such queries. Building
        takes seconds for 100,000 answers, and the index takes a quarter more memory. Other use
        of the searcher waits meanwhile.
        """
        native, projection = self._live(), _model(model)
        n, dim, pointer = 0, self._query_dim(model), ffi.NULL
        if queries is not None:
            vectors = _arrays.as_floats("queries", queries, (2,), dim)
            n, pointer = vectors.shape[0], _arrays.pointer(vectors)
        self._origin = None
        number, build = _count("threads", threads), lib.projection_searcher_build_index
        arguments = native, projection, pointer, n, dim, number
        return _work.interruptible(
            lambda progress: measured(build, *arguments, progress, ffi.NULL)
        )

    def drop_index(self) -> None:
        """Drops the approximate index: search is exact again."""
        lib.projection_searcher_drop_index(self._live())

    @property
    def dim(self) -> int:
        """Dimension of the answers' vectors; available after :meth:`close`."""
        return self._dim

    def __len__(self) -> int:
        """Number of answers; available after :meth:`close`."""
        native = self._object
        return self._len if native is None else int(lib.projection_searcher_len(native))

    def vectors(self, model: Optional[Model] = None) -> tuple[Ids, Floats]:
        """Returns the ids of all answers, shape (n,), and the vectors of length 1 that a search with
        `model` compares with, shape (n, dim), for another index: the answers where `model` moves
        them, see :attr:`Model.moves_answers`, or as they are without a model."""
        native, projection = self._live(), _model(model)
        ids = np.zeros(len(self), np.int64)
        _call.call(lib.projection_searcher_ids, native, _arrays.id_pointer(ids), len(ids))
        vectors = np.zeros((len(ids), self.dim), np.float32)
        pointer = _arrays.pointer(vectors)
        _call.call(lib.projection_searcher_vectors, native, projection, pointer, vectors.size)
        return ids, vectors

    def text(self, answer_id: int) -> Optional[str]:
        """Returns the text of an answer; None if it has none, and for an unknown id."""
        native, found = self._live(), ffi.new("projection_text **")
        _call.call(
            lib.projection_searcher_text, native, _call.model_id("answer_id", answer_id), found
        )
        owned = ffi.gc(found[0], lib.projection_text_free)
        return _text(lib.projection_text_data(owned)) if found[0] else None

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        text: Optional[str] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "seen_unseen",
        unseen_offset: float = 0.0,
        threads: int = 1,
        allowed: Optional[ArrayLike] = None,
    ) -> list[Hit]:
        """Finds the k best answers to a query of shape (dim,), best first, equal scores by
        ascending id. Returns fewer than k only if there are no more.

        - `model` projects the query first.
        - `hybrid` adds BM25 over the answers' texts: a number from 0 to 1 is the weight of BM25;
          True stands for the weight that training chose for the model, else 0.2. It needs the
          query's `text` and a searcher of a store.
        - `score_mode` is how vectors score an answer: "seen_unseen", the cosine plus, for answers
          without training questions, `unseen_offset` or, if that is 0, the offset that training
          chose for the model; "cosine", without the latter; or "max_nearest_question", which is
          the cosine or, if larger, 0.8 times the cosine of the query and the nearest training
          question of the answer's cluster, for residual models and searchers of a store.
        - `unseen_offset` is added to the scores of answers without training questions: a larger
          one finds them more often. It needs a model with heads and a searcher of a store; that a
          searcher of bare vectors does not know them is no error for the model's own offset.
        - `threads` is the number of threads that share the answers. They end before the call
          returns; 1 is the calling thread. Results do not depend on it.
        - `allowed` are the ids of the answers that may be found; None allows all. Scores do not
          depend on it, and unknown ids are ignored.

        Raises DimensionMismatchError, NotFiniteError or ZeroVectorError if the query is
        unusable, and InvalidArgumentError if an option is out of range or cannot be used with
        this model or searcher.
        """
        native, projection = self._live(), _model(model)
        kept = None if allowed is None else _ids("allowed", allowed)
        options = _options(score_mode, hybrid, unseen_offset, threads, kept)
        vector = _arrays.as_floats("query", query, (1,), self._query_dim(model))
        return _hits(
            1,
            lib.projection_searcher_search,
            native,
            projection,
            _arrays.pointer(vector),
            vector.size,
            _words(text),
            options,
            _count("k", k),
        )[0]

    def search_batch(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        texts: Optional[Sequence[str]] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "seen_unseen",
        unseen_offset: float = 0.0,
        threads: int = 1,
        allowed: Optional[ArrayLike] = None,
    ) -> list[list[Hit]]:
        """Searches for n queries of shape (n, dim), faster than n calls of :meth:`search`.
        `texts` are the queries in words. One unusable query fails the whole batch."""
        native, projection = self._live(), _model(model)
        kept = None if allowed is None else _ids("allowed", allowed)
        options = _options(score_mode, hybrid, unseen_offset, threads, kept)
        vectors = _arrays.as_floats("queries", queries, (2,), self._query_dim(model))
        n, dim = vectors.shape
        words, keep = ffi.NULL, None
        if texts is not None:
            words, keep = text_pointers("texts", texts)
            if len(keep) != n:
                raise BufferSizeError(f"texts has {len(keep)} entries, expected {n}")
        arguments = native, projection, _arrays.pointer(vectors), n, dim, words
        count = _count("k", k)

        def search(progress: Any) -> list[list[Hit]]:
            options.progress = progress
            return _hits(n, lib.projection_searcher_search_batch, *arguments, options, count)

        return _work.interruptible(search)

    def explain(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        text: Optional[str] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "seen_unseen",
        unseen_offset: float = 0.0,
    ) -> Explanation:
        """Searches as :meth:`search` does, and explains why the answers were found."""
        native, projection = self._live(), _model(model)
        options = _options(score_mode, hybrid, unseen_offset)
        vector = _arrays.as_floats("query", query, (1,), self._query_dim(model))
        with nullcontext() if self._lock is None else self._lock.engine():
            found = _work.report(
                lib.projection_searcher_explain,
                native,
                projection,
                _arrays.pointer(vector),
                vector.size,
                _words(text),
                options,
                _count("k", k),
            )
        return explanation.from_report(found)

    def __reduce__(self) -> tuple[Any, ...]:
        self._live()
        if self._origin is None:
            raise TypeError(
                "only a Searcher of a store can be pickled or copied, before add, remove or "
                "build_index change it: pass what this one was made of, and make it there"
            )
        probes = np.random.default_rng(0).normal(size=(2, self._dim)).astype(np.float32)
        return _open_same, (type(self), *self._origin, probes, *self._contents(probes))

    def _contents(self, probes: _arrays.Floats) -> tuple[str, _arrays.Floats]:
        """Returns a hash of the answers' ids and texts, and their scores for `probes`."""
        found = [sorted(hits) for hits in self.search_batch(probes, self._len)]
        ids = "".join(f"{hit.answer_id} {hit.text!r}\n" for hit in found[0])
        scores = [[hit.score for hit in hits] for hits in found]
        return hashlib.sha256(ids.encode()).hexdigest(), np.array(scores, np.float32)

    def _query_dim(self, model: Optional[Model]) -> int:
        return self._dim if model is None else model.input_dim

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"<Searcher {self._len} answers × {self._dim}{closed}>"


def _open_same(
    cls: type[Searcher],
    database: str,
    model_name: Optional[str],
    probes: _arrays.Floats,
    answers: str,
    scores: _arrays.Floats,
) -> Searcher:
    """Opens the store of a pickled searcher, which had these contents."""
    searcher = cls.open(database, model_name)
    same = searcher.dim == probes.shape[1]
    if same:
        found, found_scores = searcher._contents(probes)
        # Another kind of processor may round the last bits differently.
        same = found == answers and bool(np.abs(found_scores - scores).max(initial=0) <= 1e-5)
    if not same:
        raise InvalidStoreError(
            f"{database}: the answers have changed since the searcher that was pickled was opened; "
            f"open the store again with Searcher.open"
        )
    return searcher


def _model(model: Optional[Model]) -> Any:
    """Returns the native model, or NULL for None."""
    if model is None:
        return ffi.NULL
    if not isinstance(model, Model):
        raise ArgumentTypeError(f"model is of type {type(model).__name__}, expected Model")
    return model._live()


def _ids(name: str, ids: ArrayLike, count: Optional[int] = None) -> _arrays.Ids:
    """Returns integers as a one-dimensional array, of length `count` unless that is None."""
    try:
        numbers = np.asarray(ids)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{name} is not an array of numbers: {error}") from None
    if numbers.size and (
        numbers.dtype.kind not in "iu" or not np.can_cast(numbers.dtype, np.int64)
    ):
        raise ArgumentTypeError(f"{name} has the dtype {numbers.dtype}, expected int64")
    if numbers.ndim != 1 or count not in (None, numbers.size):
        expected = "one row" if count is None else (count,)
        raise BufferSizeError(f"{name} has the shape {numbers.shape}, expected {expected}")
    return np.ascontiguousarray(numbers, np.int64)


def _count(name: str, value: Any) -> int:
    return _call.integer(name, value, 0, 2**63 - 1)


def _words(text: Optional[str]) -> Any:
    return ffi.NULL if text is None else _call.text("text", text)


def _options(
    score_mode: str,
    hybrid: Union[bool, float],
    unseen_offset: float,
    threads: int = 1,
    allowed: Optional[_arrays.Ids] = None,
) -> Any:
    """Returns the options for C. The caller keeps `allowed` as long as the options."""
    options = ffi.new("projection_search_options *")
    options.size = ffi.sizeof("projection_search_options")
    if not isinstance(score_mode, str) or score_mode not in _SCORE_MODES:
        expected = ", ".join(_SCORE_MODES)
        raise InvalidArgumentError(f"score_mode is {score_mode!r:.100}, expected one of {expected}")
    options.score_mode = _SCORE_MODES[score_mode]
    if hybrid is True:
        options.hybrid_weight = _WEIGHT_OF_MODEL
    elif hybrid is not False:
        weight = _call.number("hybrid", hybrid)
        # Checked here, because a negative weight has a meaning in C.
        if not 0.0 <= weight <= 1.0:
            raise InvalidArgumentError(f"hybrid is {weight}, expected True, False or 0 to 1")
        options.hybrid_weight = weight
    options.unseen_offset = _call.number("unseen_offset", unseen_offset)
    if allowed is not None:
        # Never NULL, which would allow all answers; an empty array may have that address.
        options.allowed = _arrays.id_pointer(allowed if allowed.size else _NO_IDS)
        options.allowed_len = allowed.size
    options.threads = _call.integer("threads", threads, 0, 2**63 - 1)
    return options


def _text(text: Any) -> Optional[str]:
    return None if text == ffi.NULL else ffi.string(text).decode("utf-8", "replace")


def _hits(n: int, function: Any, *arguments: Any) -> list[list[Hit]]:
    """Calls a function of the library that returns the hits of n queries."""
    found = _call.make("projection_hits **", lib.projection_hits_free, function, *arguments)
    data, each = lib.projection_hits_data(found), lib.projection_hits_len(found) // max(n, 1)

    def of(query: int) -> list[Hit]:
        hits = ffi.unpack(data + query * each, each)
        return [Hit(hit.answer_id, hit.score, _text(hit.text)) for hit in hits]

    return [of(query) for query in range(n)]
