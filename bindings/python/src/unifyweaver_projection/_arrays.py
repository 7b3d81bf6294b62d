"""NumPy arrays on their way into the library and back.

The library takes row-major float32. Arrays of that kind are passed as they are; other
numbers, layouts and sequences are converted, and everything else is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import _call
from ._native import ffi, lib
from .errors import (
    ArgumentTypeError,
    BufferSizeError,
    DimensionMismatchError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    #: One vector or many: an array of real numbers, or nested sequences of them.
    ArrayLike = npt.ArrayLike

F32 = np.dtype(np.float32)
_FLOATS = ffi.typeof("float[]")
_IDS = ffi.typeof("int64_t[]")


def pointer(array: Floats, _from_buffer: Any = ffi.from_buffer, _type: Any = _FLOATS) -> Any:
    """The values of an array that `as_floats` or `output` gave. Keeps the array alive."""
    return _from_buffer(_type, array)


def id_pointer(ids: Ids) -> Any:
    return ffi.from_buffer(_IDS, ids)


def as_floats(
    name: str, values: ArrayLike, dimensions: tuple[int, ...], dim: Optional[int] = None
) -> Floats:
    """`values` as row-major float32, of one of the numbers of dimensions given, and vectors of
    `dim` values each."""
    # What needs no conversion passes by all checks of what does: after a large batch has
    # filled the processor's caches they would cost as much as twenty queries.
    if type(values) is np.ndarray and values.dtype is F32:
        flags = values.flags
        if (
            flags.c_contiguous
            and flags.aligned
            and values.ndim in dimensions
            and (dim is None or values.shape[-1] == dim)
        ):
            return values
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InvalidArgumentError(f"{name} is a masked array with values that are masked")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{name} is no array of numbers: {error}") from None
    # Booleans, complex numbers, objects, texts and dates are refused, although NumPy would
    # turn some of them into floats.
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(f"{name} has the dtype {array.dtype}, expected float32 or float64")
    if array.ndim not in dimensions:
        expected = " or ".join(str(n) for n in dimensions)
        raise DimensionMismatchError(
            f"{name} has {array.ndim} dimensions, shape {array.shape}, expected {expected}"
        )
    # Before memory is taken for a copy.
    if dim is not None and array.shape[-1] != dim:
        raise DimensionMismatchError(f"{name} of dimension {array.shape[-1]}, expected {dim}")
    # What is too large for float32 becomes infinite, which the library refuses by name.
    with np.errstate(over="ignore"):
        return np.require(array, F32, ["C_CONTIGUOUS", "ALIGNED"])


def output(name: str, shape: tuple[int, ...], out: Union[Floats, None]) -> Floats:
    """An array to write: `out`, where it fits, or a new one."""
    if out is None:
        return np.empty(shape, F32)
    # `carray`: in C order, aligned and writeable.
    if type(out) is np.ndarray and out.dtype is F32 and out.shape == shape and out.flags.carray:
        return out
    if not isinstance(out, np.ndarray):
        raise ArgumentTypeError(f"{name} is of type {type(out).__name__}, expected numpy.ndarray")
    if isinstance(out, np.ma.MaskedArray):
        raise ArgumentTypeError(f"{name} is a masked array, expected a plain one")
    if out.dtype != F32 or not out.dtype.isnative:
        raise ArgumentTypeError(f"{name} has the dtype {out.dtype}, expected float32")
    if out.shape != shape:
        raise BufferSizeError(f"{name} has the shape {out.shape}, expected {shape}")
    flags = out.flags
    if not flags.c_contiguous:
        raise InvalidArgumentError(f"{name} is not contiguous in C order")
    if not flags.aligned:
        raise InvalidArgumentError(f"{name} is not aligned to {F32.itemsize} bytes")
    if not flags.writeable:
        raise InvalidArgumentError(f"{name} is read-only")
    return out


def load_array(path: _call.StrPath) -> Floats:
    """Reads a .npy file as the engine does: float16, float32 or float64 numbers,
    of either byte order, of one or two dimensions, as row-major float32.

    Raises InvalidArrayError for any other file, where ``numpy.load`` may be more lenient.
    """
    native = _call.make(
        "projection_array **",
        lib.projection_array_free,
        lib.projection_array_load,
        _call.path("path", path),
    )
    axes = range(lib.projection_array_ndim(native))
    shape = tuple(lib.projection_array_shape(native, axis) for axis in axes)
    length = lib.projection_array_len(native)
    values = ffi.buffer(lib.projection_array_data(native), length * F32.itemsize)
    # Copied: the values belong to the native array.
    array: Floats = np.frombuffer(values, F32).reshape(shape).copy()
    return array
