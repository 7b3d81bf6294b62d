"""Calling the C library: handles, texts and errors.

A handle is a cffi pointer whose destructor gives the object back to the library. Whoever
calls holds a reference for as long as the call runs, so that closing an object, or the
garbage collector, never frees it under a call of another thread: the last reference does.
The GIL is released during every call.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, NoReturn, Union

from ._native import ffi, lib
from .errors import BY_CODE, ArgumentTypeError, ClosedError, InternalError, InvalidArgumentError

#: A path as Python users pass it.
StrPath = Union[str, "os.PathLike[str]"]

NULL = ffi.NULL


def raise_failure(status: int, error: Any) -> NoReturn:
    """Raises the exception for `status`; `error` is the library's, which is freed."""
    try:
        message = ffi.string(lib.projection_error_message(error)).decode("utf-8", "replace")
    finally:
        lib.projection_error_free(error)
    if not message:
        message = ffi.string(lib.projection_status_name(status)).decode()
    raise BY_CODE.get(status, InternalError)(message)


def call(function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter is a place for an error."""
    error = ffi.new("projection_error **")
    status = function(*arguments, error)
    if status:
        raise_failure(status, error[0])


def make(pointer_type: str, free: Any, function: Any, *arguments: Any) -> Any:
    """Calls a function that gives an object, and takes the object over."""
    place = ffi.new(pointer_type)
    call(function, *arguments, place)
    return ffi.gc(place[0], free)


def text(name: str, value: str) -> bytes:
    """A text as C wants it: UTF-8, where NUL stands only at the end, which cffi adds."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} is of type {type(value).__name__}, expected str")
    at = value.find("\0")
    if at >= 0:
        raise InvalidArgumentError(f"{name} holds a NUL character at index {at}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"{name} holds a lone surrogate at index {error.start}, which has no UTF-8 form"
        ) from None


def path(name: str, value: StrPath) -> bytes:
    """A file name as C wants it."""
    try:
        value = os.fspath(value)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(value).__name__}, expected str or os.PathLike"
        ) from None
    return text(name, value)


def integer(name: str, value: Any, low: int, high: int) -> int:
    """A whole number, NumPy's among them, from `low` to `high`."""
    try:
        number = int(value.__index__())
    except AttributeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(value).__name__}, expected a whole number"
        ) from None
    if isinstance(value, bool):
        raise ArgumentTypeError(f"{name} is of type bool, expected a whole number")
    if not low <= number <= high:
        raise InvalidArgumentError(f"{name} is {number}, expected {low} to {high}")
    return number


def model_id(name: str, value: Any) -> int:
    """An id as the library takes it; it says itself which ones do not exist."""
    return integer(name, value, -(2**63), 2**63 - 1)


def number(name: str, value: Any) -> float:
    """A float; the library checks its range."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{name} is {value!r:.100}, expected a number"
        ) from None


def open_store(database: bytes, mode: str = "read") -> Any:
    """An open store of the library, which is closed when it is collected."""
    how = options(mode=mode)
    return make("projection_store **", lib.projection_store_free, lib.projection_store_open, database, how)


def options(**values: Any) -> bytes:
    """Options as JSON; what is None has its default."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentError(f"{name} is {value}, expected a finite number")
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given).encode()


def optional_text(name: str, value: Any) -> Any:
    """A text for :func:`options`, checked as :func:`text` does."""
    return None if value is None else text(name, value).decode()


def optional_path(name: str, value: Any) -> Any:
    """A file name for :func:`options`, checked as :func:`path` does."""
    return None if value is None else path(name, value).decode()


class Handle:
    """An object of the library. Base of what users hold."""

    # None once closed.
    _object: Any = None

    def _live(self) -> Any:
        """The native object; the caller keeps it in a variable while it is in use."""
        native = self._object
        if native is None:
            raise ClosedError(f"the {type(self).__name__} is closed")
        return native

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._object is None

    def close(self) -> None:
        """Frees the native memory once the calls that are under way have returned.

        May be called any number of times. Objects that are not closed are freed when they
        are collected as garbage.
        """
        self._object = None

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} can't be pickled or copied: it holds memory of this process. Pass on "
            "where it came from, and open it there."
        )

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self.__reduce__()
