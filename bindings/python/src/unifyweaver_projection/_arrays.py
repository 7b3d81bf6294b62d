"""NumPy arrays on their way into the library and back.

The library takes row-major float32. Such arrays are passed without a copy. Other numbers,
layouts and sequences are converted, and everything else is an error that names the argument.
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
    """A pointer to the values of an array from `as_floats` or `output`. Keeps the array alive."""
    return _from_buffer(_type, array)


def id_pointer(ids: Ids) -> Any:
    return ffi.from_buffer(_IDS, ids)


def as_floats(
    name: str, values: ArrayLike, dimensions: tuple[int, ...], dim: Optional[int] = None
) -> Floats:
    """Returns `values` as row-major float32. `dimensions` are the allowed numbers of dimensions;
    `dim` is the expected length of the last one."""
    # Arrays that need no conversion skip the checks below: after a large batch has filled the
    # processor's caches, the checks would cost as much as twenty queries.
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
    array = _as_array(name, values)
    # Booleans, complex numbers, objects, texts and dates are refused, although NumPy could
    # convert some of these to floats.
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(f"{name} has the dtype {array.dtype}, expected float32 or float64")
    if array.ndim not in dimensions:
        expected = " or ".join(str(n) for n in dimensions)
        raise DimensionMismatchError(
            f"{name} has {array.ndim} dimensions, shape {array.shape}, expected {expected}"
        )
    # Checked before memory is allocated for a copy.
    if dim is not None and array.shape[-1] != dim:
        raise DimensionMismatchError(f"{name} of dimension {array.shape[-1]}, expected {dim}")
    # A value that is too large for float32 becomes infinity, which the library refuses.
    with np.errstate(over="ignore"):
        return np.require(array, F32, ["C_CONTIGUOUS", "ALIGNED"])


def _as_array(name: str, values: Any) -> Any:
    """Converts to an array."""
    try:
        array = np.asarray(values)
    # torch raises RuntimeError for a tensor that needs a gradient.
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(values, (list, tuple)):
            return _stacked(name, values)  # Perhaps its rows have different lengths.
        raise InvalidArgumentError(f"{name} is not an array of numbers: {error}") from None
    return _stacked(name, array) if array.dtype == object else array


def _stacked(name: str, values: Any) -> Any:
    """Stacks rows that are arrays of their own, as columns of pandas, Arrow, polars and Spark have
    them."""
    hint = f"for an array of numbers, call numpy.asarray({name}, numpy.float32)"
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise ArgumentTypeError(f"{name} has the dtype object, expected numbers; {hint}")
    rows: list[Any] = []
    for at, value in enumerate(values):
        try:
            # Vectors of Spark have a method for it.
            row = np.asarray(value.toArray() if hasattr(value, "toArray") else value)
        except ValueError:
            row = np.array(None)
        if row.ndim != 1 or row.dtype.kind not in "fiu":
            raise ArgumentTypeError(
                f"{name} has the dtype object, and {name}[{at}] is {value!r:.40}, expected a row of "
                f"numbers; {hint}"
            )
        if rows and row.shape != rows[0].shape:
            raise DimensionMismatchError(
                f"{name}[{at}] has {row.size} values, expected {rows[0].size} as {name}[0] has"
            )
        rows.append(row)
    return np.stack(rows) if rows else np.empty(0)


def output(name: str, shape: tuple[int, ...], out: Union[Floats, None]) -> Floats:
    """Returns the array to write to: `out` if there is one, which must fit, else a new array."""
    if out is None:
        return np.empty(shape, F32)
    # `carray` means in C order, aligned and writeable.
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
    """Reads a .npy file as the engine does: float16, float32 or float64 numbers, in either byte
    order, of one or two dimensions. Returns row-major float32.

    Raises InvalidArrayError for any other file, even if ``numpy.load`` accepts it.
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
    # Copied, because the values belong to the native array.
    array: Floats = np.frombuffer(values, F32).reshape(shape).copy()
    return array
