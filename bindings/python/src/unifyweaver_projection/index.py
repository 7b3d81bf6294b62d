"""Approximate indexes of stored projections, and what is measured while one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import _call, _work
from ._native import ffi, lib
from ._store_lock import store_lock

if TYPE_CHECKING:
    from ._call import StrPath


class IndexStats(NamedTuple):
    """Recall and cost measured while building an approximate index."""

    #: The smallest share of the true 1, 10 and 32 nearest answers, heads or training questions
    #: that held-out queries find; 1 if search is exact.
    recall: float
    #: The share of all vectors that a query reads on average; 1 if search is exact.
    read: float
    #: Number of inverted lists; 1 if search is exact.
    lists: int


def build_index(database: StrPath, id: int, *, threads: int = 1) -> IndexStats:
    """Builds an approximate index of projection `id` as :meth:`Model.with_approximate_index`
    does, and stores it in a file beside the projection's others. Models that are opened
    afterwards use it; programs that do not know it are not affected. If an index is not worth
    building, none is stored.

    An index that is damaged, or was built from other vectors than the projection has now, is
    ignored: build it again. :func:`index_stats` reports that.
    """
    path, number = _call.path("database", database), _call.model_id("id", id)
    count = _call.integer("threads", threads, 0, 2**63 - 1)
    with store_lock(database).engine():
        store, build = _call.open_store(path), lib.projection_store_build_index
        return _work.interruptible(
            lambda progress: measured(build, store, number, count, progress, ffi.NULL)
        )


def index_stats(database: StrPath, id: int) -> IndexStats:
    """Returns what was measured while the stored index of projection `id` was built; without a
    stored index, one inverted list that is read as a whole.

    Raises InvalidModelError if the index is damaged or was built from other vectors than the
    projection has now: the projection opens without it.
    """
    path, number = _call.path("database", database), _call.model_id("id", id)
    with store_lock(database).engine():
        return measured(lib.projection_store_index_stats, _call.open_store(path), number)


def measured(function: Any, *arguments: Any) -> IndexStats:
    """Calls a function of the library whose last parameter but one receives the stats."""
    stats = ffi.new("projection_index_stats *")
    _call.call(function, *arguments, stats)
    return IndexStats(stats.recall, stats.read, int(stats.lists))
