"""What making lists found out."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _call
from ._native import ffi


class Lists(NamedTuple):
    """What :meth:`Searcher.make_lists`, :meth:`Model.with_lists` and :meth:`Model.keep_lists`
    found out."""

    #: The share of the true 1, 10 and 32 nearest answers, heads or training questions that
    #: queries find that were held out, the least of them; 1 where searches stay exact.
    recall: float
    #: The share of all of them that queries read on average.
    read: float
    #: The number of lists; 1 where searches stay exact.
    lists: int


def found_by(function: Any, *arguments: Any) -> Lists:
    """What a function of the library says of lists, whose last argument receives it."""
    found = ffi.new("projection_index_stats *")
    _call.call(function, *arguments, found)
    return Lists(found.recall, found.read, int(found.lists))
