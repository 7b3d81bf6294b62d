"""Calling the C library: handles, texts and errors.

A handle is a cffi pointer whose destructor frees the object in the library. Every call holds
a reference to the pointer until the call returns. If another thread closes the object
meanwhile, the last reference frees it. The GIL is released during every call.
"""

from __future__ import annotations

import copy
import json
import math
import os
from typing import Any, NoReturn, Optional, TypeVar, Union

from ._native import ffi, lib
from .errors import BY_CODE, ArgumentTypeError, ClosedError, InternalError, InvalidArgumentError

#: A path as Python users pass it.
StrPath = Union[str, "os.PathLike[str]"]

AnyHandle = TypeVar("AnyHandle", bound="Handle")


def raise_failure(status: int, error: Any) -> NoReturn:
    """Raises the exception for `status`, and frees `error`, the library's error."""
    try:
        message = ffi.string(lib.projection_error_message(error)).decode("utf-8", "replace")
    finally:
        lib.projection_error_free(error)
    if not message:
        message = ffi.string(lib.projection_status_name(status)).decode()
    raise BY_CODE.get(status, InternalError)(message)


def call(function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter receives an error."""
    error = ffi.new("projection_error **")
    status = function(*arguments, error)
    if status:
        raise_failure(status, error[0])


def make(pointer_type: str, free: Any, function: Any, *arguments: Any) -> Any:
    """Calls a function that creates an object, and returns the object with its destructor."""
    created = ffi.new(pointer_type)
    call(function, *arguments, created)
    return ffi.gc(created[0], free)


def text(name: str, value: str) -> bytes:
    """Converts a text to UTF-8 without NUL characters. cffi adds the NUL at the end."""
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
    """Converts a path to UTF-8."""
    try:
        value = os.fspath(value)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(value).__name__}, expected str or os.PathLike"
        ) from None
    return text(name, value)


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Converts an integer, including NumPy's, and checks that it is in `low` to `high`."""
    try:
        number = int(value.__index__())
    except AttributeError:
        raise ArgumentTypeError(
            f"{name} is of type {type(value).__name__}, expected an integer"
        ) from None
    if isinstance(value, bool):
        raise ArgumentTypeError(f"{name} is of type bool, expected an integer")
    if not low <= number <= high:
        raise InvalidArgumentError(f"{name} is {number}, expected {low} to {high}")
    return number


def model_id(name: str, value: Any) -> int:
    """Converts an id. The library checks that it exists."""
    return integer(name, value, -(2**63), 2**63 - 1)


def number(name: str, value: Any) -> float:
    """Converts a float. The library checks its range."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentTypeError(f"{name} is {value!r:.100}, expected a number") from None


def open_store(database: bytes, mode: str = "read", **more: Any) -> Any:
    """Opens a store in the library, with further options. The garbage collector closes it."""
    return make(
        "projection_store **",
        lib.projection_store_free,
        lib.projection_store_open,
        database,
        options(mode=mode, **more),
    )


def options(**values: Any) -> bytes:
    """Returns options as JSON. Options that are None are left out and have their default."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentError(f"{name} is {value}, expected a finite number")
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given).encode()


def optional_text(name: str, value: Any) -> Any:
    """A text for :func:`options`, checked like :func:`text`."""
    return None if value is None else text(name, value).decode()


def optional_path(name: str, value: Any) -> Any:
    """A path for :func:`options`, checked like :func:`path`."""
    return None if value is None else path(name, value).decode()


def file_options(
    format: Optional[str],
    question_column: Optional[str],
    answer_column: Optional[str],
    id_column: Optional[str],
    split: Optional[str],
) -> dict[str, Any]:
    """How question-answer files are read, for :func:`options`."""
    options = {
        "format": format,
        "question_column": question_column,
        "answer_column": answer_column,
        "id_column": id_column,
        "split": split,
    }
    given = {name: optional_text(name, value) for name, value in options.items()}
    return {name: value for name, value in given.items() if value is not None}


class Handle:
    """An object of the library. Base class of Model, Searcher and Embedder."""

    # None after `close`.
    _object: Any = None

    def _live(self) -> Any:
        """Returns the native object. The caller keeps it in a variable while using it."""
        native = self._object
        if native is None:
            raise ClosedError(f"the {type(self).__name__} is closed")
        return native

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._object is None

    def close(self) -> None:
        """Frees the native memory when all running calls have returned.

        May be called any number of times. The garbage collector frees objects that are not
        closed.
        """
        self._object = None

    def __enter__(self: AnyHandle) -> AnyHandle:
        self._live()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Immutable(Handle):
    """An object that never changes: its copies share its memory. Each is closed on its own."""

    def __copy__(self: AnyHandle) -> AnyHandle:
        self._live()
        same = type(self).__new__(type(self))
        same.__dict__.update(self.__dict__)
        return same

    def __deepcopy__(self: AnyHandle, memo: Any) -> AnyHandle:
        return copy.copy(self)
