"""Calls that take long: progress bars, Ctrl-C, and JSON results.

The library invokes the progress callback on the calling thread. Python may then handle a signal
that arrived while the GIL was released. If the callback raises an exception, the exception is
saved, the library is told to cancel, and the exception is raised again when the call returns.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any, Optional, TypeVar, Union

from . import _call
from ._native import ffi, lib
from .errors import ArgumentTypeError, CancelledError

#: Progress callback. Its arguments are the stage of the work, the number of steps that are done,
#: the total number of steps, and the loss of the last step or None. It cancels the work by
#: returning False or raising an exception.
ProgressFunction = Callable[[str, int, int, Optional[float]], Optional[bool]]

#: True shows a progress bar, False shows nothing.
Progress = Union[bool, ProgressFunction]

Result = TypeVar("Result")


class _Bars:
    """A tqdm bar for each stage, one below the other. A stage may be a step of another stage
    and start again many times."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, tqdm warns and shows a bar of text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
        self._new: Any = tqdm
        self._bars: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int, loss: Optional[float]) -> None:
        bar = self._bars.get(stage)
        if bar is None:
            bar = self._new(total=total, desc=stage, leave=False, position=len(self._bars))
            self._bars[stage] = bar
        if done < bar.n or total != bar.total:
            bar.reset(total=total)
        if loss is not None:
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        bar.update(done - bar.n)

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()


def run(function: Any, progress: Progress, *arguments: Any) -> dict[str, Any]:
    """Calls a function of the library with progress and returns its JSON result."""
    return read(
        make_with_progress(
            "projection_text **", lib.projection_text_free, function, progress, *arguments
        )
    )


def make_with_progress(
    pointer_type: str,
    free: Any,
    function: Any,
    progress: Progress,
    *arguments: Any,
    raised: Optional[list[BaseException]] = None,
) -> Any:
    """Calls a function of the library with progress and returns the object that it creates."""

    def make(native: Any) -> Any:
        return _call.make(pointer_type, free, function, *arguments, native, ffi.NULL)

    return with_progress(progress, make, raised)


def interruptible(work: Callable[[Any], Result]) -> Result:
    """Returns the result of `work` as :func:`with_progress` does, so that Ctrl-C ends it."""
    return with_progress(False, work)


def with_progress(
    progress: Progress,
    work: Callable[[Any], Result],
    raised: Optional[list[BaseException]] = None,
) -> Result:
    """Returns the result of `work`, which calls the library with the progress callback that it is
    passed. Other callbacks put their exceptions into `raised`."""
    bars: Optional[_Bars] = None
    if callable(progress):
        report_progress: Optional[ProgressFunction] = progress
    elif isinstance(progress, bool):
        report_progress = bars = _Bars() if progress else None
    else:
        raise ArgumentTypeError(
            f"progress is of type {type(progress).__name__}, expected bool or a function"
        )
    exceptions = [] if raised is None else raised

    def callback(_: Any, stage: Any, done: int, total: int, loss: float) -> int:
        if exceptions:
            return 1
        stop = False
        if report_progress is not None:
            name = ffi.string(stage).decode()
            stop = report_progress(name, done, total, None if math.isnan(loss) else loss) is False
        return int(stop)

    def on_error(_type: Any, exception: Any, _traceback: Any) -> int:
        exceptions.append(exception)
        return 1

    # Kept in a variable, because the library calls it until the call returns.
    native = ffi.callback(
        "int32_t(void *, const char *, uint64_t, uint64_t, double)", callback, onerror=on_error
    )
    try:
        return work(native)
    except CancelledError:
        if exceptions:
            raise exceptions[0] from None
        raise
    finally:
        if bars is not None:
            bars.close()


def report(function: Any, *arguments: Any) -> dict[str, Any]:
    """Calls a function of the library that returns JSON."""
    return read(_call.make("projection_text **", lib.projection_text_free, function, *arguments))


def read(result: Any) -> dict[str, Any]:
    """Parses the JSON object in a text of the library."""
    text = ffi.buffer(lib.projection_text_data(result), lib.projection_text_len(result))
    found: dict[str, Any] = json.loads(bytes(text))
    return found
