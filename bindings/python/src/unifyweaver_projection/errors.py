"""Exceptions: one class for each status of the C interface.

Every class is a :class:`ProjectionError` and also derives from the exception that Python users
expect, such as ``ValueError`` or ``FileNotFoundError``.
"""

from __future__ import annotations

from typing import ClassVar

from ._native import lib


class ProjectionError(Exception):
    """Base class of all errors of this package.

    The message names the file or argument, what was expected and what was found.
    """

    #: Number of the status in the C interface, which is stable; -1 for an error that only this
    #: package raises.
    code: ClassVar[int] = 0

    def __str__(self) -> str:
        # OSError, which some of the classes derive from, would format a tuple.
        return str(self.args[0]) if self.args else ""


class InvalidArgumentError(ProjectionError, ValueError):
    """An argument is outside what the call accepts."""

    code = lib.PROJECTION_STATUS_INVALID_ARGUMENT


class ArgumentTypeError(InvalidArgumentError, TypeError):
    """An argument has a type, or an array has a dtype, that the call does not accept."""


class DimensionMismatchError(ProjectionError, ValueError):
    """Two vectors, or a vector and a model, have different dimensions."""

    code = lib.PROJECTION_STATUS_DIMENSION_MISMATCH


class NotFiniteError(ProjectionError, ValueError):
    """A vector holds NaN or infinity."""

    code = lib.PROJECTION_STATUS_NOT_FINITE


class ZeroVectorError(ProjectionError, ValueError):
    """A vector that needs a direction is zero."""

    code = lib.PROJECTION_STATUS_ZERO_VECTOR


class NotFoundError(ProjectionError, FileNotFoundError):
    """A file, folder, model, answer or other named thing does not exist."""

    code = lib.PROJECTION_STATUS_NOT_FOUND


class IoError(ProjectionError, OSError):
    """The operating system refused to read or write."""

    code = lib.PROJECTION_STATUS_IO


class InvalidArrayError(ProjectionError, ValueError):
    """A .npy file is damaged or of an unsupported type."""

    code = lib.PROJECTION_STATUS_INVALID_ARRAY


class InvalidModelError(ProjectionError, ValueError):
    """The files or rows of a model do not fit together."""

    code = lib.PROJECTION_STATUS_INVALID_MODEL


class InvalidStoreError(ProjectionError, ValueError):
    """A file is not a store of a schema that this version knows."""

    code = lib.PROJECTION_STATUS_INVALID_STORE


class AmbiguousModelError(ProjectionError, ValueError):
    """An id or name is missing, or matches more than one model."""

    code = lib.PROJECTION_STATUS_AMBIGUOUS_MODEL


class BusyError(ProjectionError, OSError):
    """Another process is writing to the store."""

    code = lib.PROJECTION_STATUS_BUSY


class InvalidEmbedderError(ProjectionError, ValueError):
    """The files of an embedding model are damaged, do not fit together or are of an unknown
    kind."""

    code = lib.PROJECTION_STATUS_INVALID_EMBEDDER


class BufferSizeError(ProjectionError, ValueError):
    """An output array has the wrong shape."""

    code = lib.PROJECTION_STATUS_BUFFER_SIZE


class InvalidInputError(ProjectionError, ValueError):
    """A question-answer file does not have a known format."""

    code = lib.PROJECTION_STATUS_INVALID_INPUT


class InternalError(ProjectionError, RuntimeError):
    """A defect of the engine; please report it."""

    code = lib.PROJECTION_STATUS_INTERNAL


class PanicError(InternalError):
    """A defect of the engine that was caught at the boundary to Python; please report it."""

    code = lib.PROJECTION_STATUS_PANIC


class CancelledError(ProjectionError):
    """The progress callback cancelled the work."""

    code = lib.PROJECTION_STATUS_CANCELLED


class ClosedError(ProjectionError, ValueError):
    """The object is closed."""

    code = -1


#: The class of every status. ArgumentTypeError inherits its parent's code and has no entry.
BY_CODE: dict[int, type[ProjectionError]] = {
    cls.code: cls
    for cls in (*ProjectionError.__subclasses__(), *InternalError.__subclasses__())
    if cls.code > 0
}
