"""Search for answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np

from . import _arrays, _call, _work, explanation
from ._native import ffi, lib
from ._store_lock import StoreLock, store_lock
from .embedder import text_pointers
from .errors import ArgumentTypeError, BufferSizeError, InvalidArgumentError
from .lists import Lists, found_by
from .model import Model

if TYPE_CHECKING:
    from ._arrays import ArrayLike
    from ._call import StrPath
    from .explanation import Explanation

_SCORE_MODES = {"cosine": 0, "max_nearest_question": 1, "headed_unheaded": 2}
#: What the header names PROJECTION_HYBRID_WEIGHT_OF_MODEL, which cffi can't declare.
_WEIGHT_OF_MODEL = -1.0
_NO_IDS = np.zeros(1, np.int64)


class Hit(NamedTuple):
    """An answer that a search found."""

    #: Its id in the store, or in the ids given to :meth:`Searcher.from_vectors`.
    answer_id: int
    #: Cosine of the query, or of the projected query, and the answer, unless options ask
    #: for another score.
    score: float
    #: The answer's text; None where the searcher has none.
    text: Optional[str]


class Searcher(_call.Handle):
    """Finds the answers nearest to a query, exactly unless :meth:`make_lists` was called.

    It is a snapshot: what is embedded later is seen by searchers that are opened later, or
    that it is added to. Any number of threads may use it at once. It may be used as a context manager, which closes
    it at the end.
    """

    _len: int
    _dim: int
    # Of the store, where it comes from one: explanations read from it.
    _lock: Optional[StoreLock] = None

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

        `model_name` is the text model whose vectors are read; None stands for the only one
        there is.

        Raises NotFoundError where the database, the text model or any vector does not
        exist, AmbiguousModelError where a name is needed, InvalidStoreError where the file
        is no store.
        """
        name = ffi.NULL if model_name is None else _call.text("model_name", model_name)
        path, lock = _call.path("database", database), store_lock(database)
        with lock.engine():
            searcher = cls._take(lib.projection_store_searcher, _call.open_store(path), name)
        searcher._lock = lock
        return searcher

    @classmethod
    def from_vectors(cls, ids: ArrayLike, vectors: ArrayLike) -> Searcher:
        """Makes a searcher of `vectors`, of shape (n, dim), which are copied and need not be
        of unit length. `ids` are n different whole numbers."""
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
        and their texts. A store that the searcher is from does not change, and nothing is
        added after an error."""
        native = self._live()
        array = _arrays.as_floats("vectors", vectors, (2,), self._dim)
        kept = _ids("ids", ids, array.shape[0])
        words, keep = ffi.NULL, None
        if texts is not None:
            words, keep = text_pointers("texts", texts)
            if len(keep) != kept.size:
                raise BufferSizeError(f"texts has {len(keep)} entries, expected {kept.size}")
        _call.call(
            lib.projection_searcher_add,
            native,
            _arrays.id_pointer(kept),
            _arrays.pointer(array),
            *array.shape,
            words,
        )
        self._len = int(lib.projection_searcher_len(native))

    def remove(self, ids: ArrayLike) -> int:
        """Removes the answers with these ids, and gives how many of them there were. A store
        that the searcher is from keeps them."""
        native, kept, removed = self._live(), _ids("ids", ids), ffi.new("size_t *")
        _call.call(
            lib.projection_searcher_remove, native, _arrays.id_pointer(kept), kept.size, removed
        )
        self._len = int(lib.projection_searcher_len(native))
        return int(removed[0])

    def make_lists(
        self,
        queries: Optional[ArrayLike] = None,
        *,
        model: Optional[Model] = None,
        threads: int = 1,
    ) -> Lists:
        """Puts the answers into lists, so that searches find the nearest of many without
        comparing a query with each: at least 99% of them, for queries that are held out.
        Where lists cannot do that, and below 16,384 answers, searches stay exact.

        `queries` of shape (n, dim) are like those to come, projected by `model` where there is
        one: a few hundred of them make sure that the promise holds for such. Takes seconds
        for 100,000 answers, and a quarter more memory; searches wait for it."""
        native, projection = self._live(), _model(model)
        n, dim, pointer = 0, self._query_dim(model), ffi.NULL
        if queries is not None:
            vectors = _arrays.as_floats("queries", queries, (2,), dim)
            n, pointer = vectors.shape[0], _arrays.pointer(vectors)
        return found_by(
            lib.projection_searcher_build_index,
            native,
            projection,
            pointer,
            n,
            dim,
            _call.integer("threads", threads, 0, 2**63 - 1),
        )

    def drop_lists(self) -> None:
        """Forgets the lists: searches are exact again."""
        lib.projection_searcher_drop_index(self._live())

    @property
    def dim(self) -> int:
        """Dimension of the answers' vectors. May still be asked for after :meth:`close`."""
        return self._dim

    def __len__(self) -> int:
        """Number of answers. May still be asked for after :meth:`close`."""
        return self._len

    def text(self, answer_id: int) -> Optional[str]:
        """The text of an answer; None for an unknown id, or where the searcher was made of
        vectors."""
        native = self._live()
        return _text_of(native, _call.model_id("answer_id", answer_id))

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        text: Optional[str] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "cosine",
        unheaded_offset: float = 0.0,
        threads: int = 1,
        allowed: Optional[ArrayLike] = None,
    ) -> list[Hit]:
        """The k best answers to a query of shape (dim,), best first, equal ones by ascending
        id; all of them where there are fewer.

        `model` projects the query first. `hybrid` lets the words count that query and
        answers share, by BM25: True with the weight that training chose for the model, else
        0.2, a number from 0 to 1 with that weight; it needs the query's `text` and a
        searcher of a store. `score_mode` is what vectors say: "cosine"; "max_nearest_question",
        that or 0.8 times the cosine of the nearest training question of the answer's cluster,
        whichever is more, which needs a residual model and a searcher of a store; or
        "headed_unheaded", the cosine with the `unheaded_offset` that training chose.
        `unheaded_offset` is added to what vectors say about answers that no head of the model
        is for, which needs a model with heads and a searcher of a store. `threads` of the
        engine share the answers out and end before the call returns; 1 is the caller's. The
        result does not depend on it. `allowed` are the ids of the answers that may be found,
        all for None; scores do not depend on it, and ids of no answer are passed over.

        Raises DimensionMismatchError, NotFiniteError or ZeroVectorError where the query is
        unusable, InvalidArgumentError for options that are outside their range or need what
        there is not.
        """
        native, projection = self._live(), _model(model)
        kept = None if allowed is None else _ids("allowed", allowed)
        options = _options(score_mode, hybrid, unheaded_offset, threads, kept)
        vector = _arrays.as_floats("query", query, (1,), self._query_dim(model))
        k = min(_count("k", k), self._len)
        hits, found = ffi.new("projection_hit[]", k), ffi.new("size_t *")
        _call.call(
            lib.projection_searcher_search,
            native,
            projection,
            _arrays.pointer(vector),
            vector.size,
            _words(text),
            options,
            k,
            hits,
            k,
            found,
        )
        return [_hit(native, hits[i]) for i in range(found[0])]

    def search_batch(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        texts: Optional[Sequence[str]] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "cosine",
        unheaded_offset: float = 0.0,
        threads: int = 1,
        allowed: Optional[ArrayLike] = None,
    ) -> list[list[Hit]]:
        """:meth:`search` for n queries of shape (n, dim), faster than one call for each.
        `texts` are these queries in words. One unusable query fails the whole batch."""
        native, projection = self._live(), _model(model)
        kept = None if allowed is None else _ids("allowed", allowed)
        options = _options(score_mode, hybrid, unheaded_offset, threads, kept)
        vectors = _arrays.as_floats("queries", queries, (2,), self._query_dim(model))
        n, dim = vectors.shape
        words, keep = ffi.NULL, None
        if texts is not None:
            words, keep = text_pointers("texts", texts)
            if len(keep) != n:
                raise BufferSizeError(f"texts has {len(keep)} entries, expected {n}")
        k = min(_count("k", k), self._len)
        hits, found = ffi.new("projection_hit[]", n * k), ffi.new("size_t *")
        _call.call(
            lib.projection_searcher_search_batch,
            native,
            projection,
            _arrays.pointer(vectors),
            n,
            dim,
            words,
            options,
            k,
            hits,
            n * k,
            found,
        )
        return [[_hit(native, hits[i * k + j]) for j in range(found[0])] for i in range(n)]

    def explain(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        model: Optional[Model] = None,
        text: Optional[str] = None,
        hybrid: Union[bool, float] = False,
        score_mode: str = "cosine",
        unheaded_offset: float = 0.0,
    ) -> Explanation:
        """Searches as :meth:`search` does, and says why the answers were found."""
        native, projection = self._live(), _model(model)
        options = _options(score_mode, hybrid, unheaded_offset)
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
                min(_count("k", k), self._len),
            )
        return explanation.take(found, lambda answer_id: _text_of(native, answer_id))

    def _query_dim(self, model: Optional[Model]) -> int:
        return self._dim if model is None else model.input_dim

    def __enter__(self) -> Searcher:
        self._live()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"<Searcher {self._len} answers × {self._dim}{closed}>"


def _model(model: Optional[Model]) -> Any:
    """The native model; cffi keeps it alive as long as the call's arguments."""
    if model is None:
        return ffi.NULL
    if not isinstance(model, Model):
        raise ArgumentTypeError(f"model is of type {type(model).__name__}, expected Model")
    return model._live()


def _ids(name: str, ids: ArrayLike, count: Optional[int] = None) -> _arrays.Ids:
    """Whole numbers in one row; so many of them, where that is given."""
    try:
        numbers = np.asarray(ids)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{name} is no array of numbers: {error}") from None
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
    unheaded_offset: float,
    threads: int = 1,
    allowed: Optional[_arrays.Ids] = None,
) -> Any:
    """The options for C; `allowed` must live as long as they do."""
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
        # A negative number has a meaning in C.
        if not 0.0 <= weight <= 1.0:
            raise InvalidArgumentError(f"hybrid is {weight}, expected True, False or 0 to 1")
        options.hybrid_weight = weight
    options.unseen_offset = _call.number("unheaded_offset", unheaded_offset)
    if allowed is not None:
        # An address that is not NULL, whatever an empty array has.
        options.allowed = _arrays.id_pointer(allowed if allowed.size else _NO_IDS)
        options.allowed_len = allowed.size
    options.threads = _call.integer("threads", threads, 0, 2**63 - 1)
    return options


def _text_of(native: Any, answer_id: int) -> Optional[str]:
    text = lib.projection_searcher_text(native, answer_id)
    return None if text == ffi.NULL else ffi.string(text).decode("utf-8", "replace")


def _hit(native: Any, hit: Any) -> Hit:
    return Hit(hit.answer_id, hit.score, _text_of(native, hit.answer_id))
