"""Exceptions: one class for each status of the C interface.

Each is a :class:`ProjectionError`, and also what Python users expect in its place, such as
``ValueError`` or ``FileNotFoundError``.
"""

from __future__ import annotations

from typing import ClassVar


class ProjectionError(Exception):
    """What the engine refused, and why.

    The message names the file or argument, what was expected and what was found.
    """

    #: Number of the status in the C interface; it never changes its meaning. Negative for
    #: errors that only this package has.
    code: ClassVar[int] = 0

    def __str__(self) -> str:
        # That of OSError, which some of the classes inherit, would show a tuple.
        return str(self.args[0]) if self.args else ""


class InvalidArgumentError(ProjectionError, ValueError):
    """An argument is outside what the call accepts."""

    code = 1


class ArgumentTypeError(InvalidArgumentError, TypeError):
    """An argument is of a type, or an array of a dtype, that the call does not accept."""


class DimensionMismatchError(ProjectionError, ValueError):
    """Two vectors, or a vector and a model, have different dimensions."""

    code = 2


class NotFiniteError(ProjectionError, ValueError):
    """A vector holds NaN or infinity."""

    code = 3


class ZeroVectorError(ProjectionError, ValueError):
    """A vector that needs a direction is zero."""

    code = 4


class NotFoundError(ProjectionError, FileNotFoundError):
    """A file, folder, model or other named thing does not exist."""

    code = 5


class IoError(ProjectionError, OSError):
    """The operating system refused to read or write."""

    code = 6


class InvalidArrayError(ProjectionError, ValueError):
    """A .npy file is damaged or of a kind that is not read."""

    code = 7


class InvalidModelError(ProjectionError, ValueError):
    """The files or rows of a model do not fit together."""

    code = 8


class InvalidStoreError(ProjectionError, ValueError):
    """A file is not a store of a schema that this version knows."""

    code = 9


class AmbiguousModelError(ProjectionError, ValueError):
    """A model id or name is missing or not enough to choose among several."""

    code = 10


class BusyError(ProjectionError, OSError):
    """Another process is writing to the store."""

    code = 11


class InvalidEmbedderError(ProjectionError, ValueError):
    """The files of a text model are damaged or of an unknown kind."""

    code = 12


class BufferSizeError(ProjectionError, ValueError):
    """An output buffer has the wrong shape."""

    code = 13


class InvalidInputError(ProjectionError, ValueError):
    """A question-answer file is of no known shape."""

    code = 14


class InternalError(ProjectionError, RuntimeError):
    """A defect of the engine; please report it."""

    code = 15


class PanicError(InternalError):
    """A defect of the engine that was stopped at this call; please report it."""

    code = 16


class CancelledError(ProjectionError):
    """The progress function stopped the work."""

    code = 17


class ClosedError(ProjectionError, ValueError):
    """The object was closed."""

    code = -1


def _leaves(cls: type[ProjectionError]) -> list[type[ProjectionError]]:
    found = [cls]
    for child in cls.__subclasses__():
        found += _leaves(child)
    return found


#: The class for every status; ArgumentTypeError shares its parent's and is left out.
BY_CODE: dict[int, type[ProjectionError]] = {
    cls.code: cls for cls in reversed(_leaves(ProjectionError)) if cls.code > 0
}
