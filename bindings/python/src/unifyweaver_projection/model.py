"""Trained models."""

from __future__ import annotations

import math
import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Optional, TypeVar, Union, overload

import numpy as np

from . import _arrays, _call, _work, explanation
from ._arrays import F32
from ._native import ffi, lib
from ._store_lock import store_lock
from .errors import ArgumentTypeError, InvalidArgumentError, InvalidModelError
from .index import IndexStats, measured

if TYPE_CHECKING:
    from ._arrays import ArrayLike, Floats
    from ._call import StrPath
    from .explanation import Explanation

#: Queries of a batch that Ctrl-C need not interrupt.
_LARGE = 1000
_PRECISIONS = {
    "f32": lib.PROJECTION_PRECISION_F32,
    "bf16": lib.PROJECTION_PRECISION_BF16,
    "int8": lib.PROJECTION_PRECISION_INT8,
}
_KINDS = {
    "multi_head": lib.PROJECTION_KIND_MULTI_HEAD,
    "residual": lib.PROJECTION_KIND_RESIDUAL,
    "linear": lib.PROJECTION_KIND_LINEAR,
    "transformer": lib.PROJECTION_KIND_TRANSFORMER,
}

AnyModel = TypeVar("AnyModel", bound="Model")


class Model(_call.Immutable):
    """A trained projection, of any kind.

    It is immutable, and any number of threads may use it at once. As a context manager, it is
    closed at the end of the block.

    It can be pickled, as the bytes of its file: another process needs no file and computes the
    same numbers. Copies share its memory.
    """

    _kind: str
    _precision: str
    _moves_answers: bool
    _input_dim: int
    _output_dim: int
    _temperature: float
    _heads: int
    _head_ids: _arrays.Ids

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} has no constructor: use Model.open, Model.load or Model.load_file"
        )

    @classmethod
    def _take(cls: type[AnyModel], native: Any) -> AnyModel:
        """Returns a model that owns `native`."""
        model = cls.__new__(cls)
        model._object = native
        model._kind = _name(_KINDS, lib.projection_model_kind(native))
        model._precision = _name(_PRECISIONS, lib.projection_model_precision(native))
        model._moves_answers = bool(lib.projection_model_moves_answers(native))
        model._input_dim = int(lib.projection_model_input_dim(native))
        model._output_dim = int(lib.projection_model_output_dim(native))
        model._temperature = float(lib.projection_model_temperature(native))
        model._heads = int(lib.projection_model_num_heads(native))
        ids = np.empty(model._heads, np.int64)
        _call.call(lib.projection_model_head_ids, native, _arrays.id_pointer(ids), len(ids))
        ids.flags.writeable = False
        model._head_ids = ids
        return model

    @classmethod
    def open(
        cls: type[AnyModel],
        database: StrPath,
        id: Optional[int] = None,
        *,
        kind: Optional[str] = None,
        precision: Optional[str] = None,
    ) -> AnyModel:
        """Opens projection `id` of the store whose database is the file `database`; None opens
        the active one, see :func:`list_models`.

        The temperature is the one in the database. `kind` is "multi_head", "residual" or
        "linear"; it is needed only if the store has two projections with the same id. A residual
        projection can be opened as a multi-head one. `precision` is how the model stores its
        vectors, see :meth:`with_precision`; None leaves them as they are.

        Raises NotFoundError or InvalidStoreError, and InvalidModelError, InvalidArrayError and
        others if files are unusable.
        """
        name = _call.path("database", database)
        number = None if id is None else _call.model_id("id", id)
        if number is None and kind is not None:
            raise InvalidArgumentError(f"kind is {kind!r} without an id, expected both or neither")
        with store_lock(database).engine():
            if number is None:
                store = _call.open_store(name)
                native = _open(lib.projection_store_active_model, store, ffi.NULL)
            else:
                native = stored(name, number, kind)
        return cls._take(_in_precision(native, precision))

    @classmethod
    def load(
        cls: type[AnyModel],
        folder: StrPath,
        id: int,
        temperature: Optional[float] = None,
        *,
        precision: Optional[str] = None,
    ) -> AnyModel:
        """Loads projection `id` from the folder of its files, embeddings/{model_name} or
        embeddings.

        `temperature` is that of the routing; 0.1 is the usual value. None stands for the one
        stored in the files. The files of a multi-head model may have none: the call then raises
        InvalidArgumentError.
        """
        name, number = _call.path("folder", folder), _call.model_id("id", id)
        if temperature is None:
            native = _open(lib.projection_model_load_as_trained, name, number)
        else:
            routing = _call.number("temperature", temperature)
            native = _open(lib.projection_model_load, name, number, routing)
        return cls._take(_in_precision(native, precision))

    @classmethod
    def load_file(
        cls: type[AnyModel], path: StrPath, *, precision: Optional[str] = None
    ) -> AnyModel:
        """Opens the model in a .safetensors file, of any kind, at the temperature stored in the
        file; or a distilled transformer in a .pt file of torch.

        A .safetensors file is mapped into memory. While the model is in use, the file must not
        be changed in place: that could change results or, if the file is truncated, end the
        process. It is safe to remove the file, or to replace it as :meth:`save_file` does. If
        another program may change it in place, read it and use :meth:`from_bytes`.
        """
        native = _open(lib.projection_model_load_file, _call.path("path", path))
        return cls._take(_in_precision(native, precision))

    @classmethod
    def from_bytes(
        cls: type[AnyModel],
        data: Union[bytes, bytearray, memoryview],
        *,
        precision: Optional[str] = None,
    ) -> AnyModel:
        """Reads a model from the bytes of such a file. The bytes are copied."""
        try:
            values = ffi.from_buffer("uint8_t[]", data)
        except (TypeError, ValueError, BufferError):
            kind = type(data).__name__
            raise ArgumentTypeError(f"data is of type {kind}, expected contiguous bytes") from None
        native = _open(lib.projection_model_from_bytes, values, len(values))
        return cls._take(_in_precision(native, precision))

    def save_file(self, path: StrPath) -> None:
        """Writes the model to a .safetensors file, which every language opens. An existing file
        is replaced only by the complete new one."""
        _call.call(lib.projection_model_save_file, self._live(), _call.path("path", path))

    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory(prefix="projection") as folder:
            path = os.path.join(folder, "model.safetensors")
            self.save_file(path)
            with open(path, "rb") as file:
                return type(self).from_bytes, (file.read(),)

    @property
    def parameters(self) -> dict[str, Any]:
        """Kind and parameters, as a model file contains them."""
        return _work.report(lib.projection_model_parameters, self._live())

    @property
    def kind(self) -> str:
        """"multi_head", "residual", "linear" or "transformer". All properties except
        :attr:`parameters` and :attr:`index_stats` remain available after :meth:`close`."""
        return self._kind

    @property
    def precision(self) -> str:
        """How the vectors are stored: "f32", "bf16" or "int8"."""
        return self._precision

    @property
    def moves_answers(self) -> bool:
        """Whether the model moves the answers that it was trained on towards their questions.
        Searchers of a store then compare projected queries with the moved answers; another index
        has to hold those, see :meth:`Searcher.vectors`."""
        return self._moves_answers

    @property
    def input_dim(self) -> int:
        """Dimension of queries."""
        return self._input_dim

    @property
    def output_dim(self) -> int:
        """Dimension of projected queries."""
        return self._output_dim

    @property
    def num_heads(self) -> int:
        """Number of heads and of routing weights; 0 for a model without heads."""
        return self._heads

    @property
    def head_ids(self) -> _arrays.Ids:
        """Cluster ids of the heads in ascending order, the order of the routing weights."""
        return self._head_ids

    @property
    def temperature(self) -> Optional[float]:
        """Temperature of the routing; None if the model has none."""
        return None if math.isnan(self._temperature) else self._temperature

    @overload
    def project(
        self,
        query: ArrayLike,
        return_weights: Literal[False] = False,
        *,
        out: Optional[Floats] = None,
        threads: int = 1,
    ) -> Floats: ...

    @overload
    def project(
        self,
        query: ArrayLike,
        return_weights: Literal[True],
        *,
        out: Optional[Floats] = None,
        weights_out: Optional[Floats] = None,
        threads: int = 1,
    ) -> tuple[Floats, Floats]: ...

    @overload
    def project(
        self,
        query: ArrayLike,
        return_weights: bool = False,
        *,
        out: Optional[Floats] = None,
        weights_out: Optional[Floats] = None,
        threads: int = 1,
    ) -> Union[Floats, tuple[Floats, Floats]]: ...

    def project(
        self,
        query: ArrayLike,
        return_weights: bool = False,
        *,
        out: Optional[Floats] = None,
        weights_out: Optional[Floats] = None,
        threads: int = 1,
    ) -> Union[Floats, tuple[Floats, Floats]]:
        """Projects one query of shape (input_dim,), or n of them of shape (n, input_dim).

        Returns the projected queries as float32, of shape (output_dim,) or (n, output_dim).
        With `return_weights`, returns a pair of the projected queries and the routing weights.
        The weights have the shape (num_heads,) or (n, num_heads), are in the order of
        :attr:`head_ids`, and sum to 1 for each query.

        Queries may have any real dtype, memory order and strides. Row-major float32 is read
        without a copy; other arrays are converted. `out` and `weights_out` are float32 arrays
        that receive the results and are returned; they are written only on success. Up to
        `threads` threads share n queries and end before the call returns; 1 is the calling
        thread.

        Raises DimensionMismatchError, NotFiniteError or ZeroVectorError if a query is unusable;
        one unusable query fails the whole batch. Raises BufferSizeError if an output has another
        shape, and ArgumentTypeError or InvalidArgumentError if the query is not an array of real
        numbers.
        """
        native = self._object
        # Fast path of a single float32 vector: no conversion, no error object, and no check that
        # the library or cffi makes anyway. If it fails, the slow path raises the exception.
        if (
            out is None
            and weights_out is None
            and type(query) is _ndarray
            and query.dtype is F32
            and query.ndim == 1
            and native is not None
        ):
            try:
                values = _from_buffer(query)
            except (ValueError, BufferError):  # It is not contiguous.
                return self._project(query, return_weights, out, weights_out, threads)
            projected: Floats = _empty(self._output_dim, F32)
            if return_weights:
                weights: Floats = _empty(self._heads, F32)
                if not _project(
                    native,
                    values,
                    len(query),
                    _from_buffer(projected),
                    self._output_dim,
                    _from_buffer(weights),
                    self._heads,
                    _NULL,
                ):
                    return projected, weights
            elif not _project(
                native,
                values,
                len(query),
                _from_buffer(projected),
                self._output_dim,
                _NULL,
                0,
                _NULL,
            ):
                return projected
        return self._project(query, return_weights, out, weights_out, threads)

    def _project(
        self,
        query: ArrayLike,
        return_weights: bool,
        out: Optional[Floats],
        weights_out: Optional[Floats],
        threads: int,
    ) -> Union[Floats, tuple[Floats, Floats]]:
        native = self._live()
        threads = _call.integer("threads", threads, 0, 2**63 - 1)
        if weights_out is not None and not return_weights:
            raise InvalidArgumentError("weights_out is given without return_weights")
        queries = _arrays.as_floats("query", query, (1, 2), self._input_dim)
        rows = queries.shape[:-1]
        projected = _arrays.output("out", (*rows, self._output_dim), out)
        weights = None
        weights_pointer, weights_len = _NULL, 0
        if return_weights:
            weights = _arrays.output("weights_out", (*rows, self._heads), weights_out)
            weights_pointer, weights_len = _arrays.pointer(weights), weights.size
        if rows:
            project = partial(
                _call.call,
                lib.projection_model_project_batch,
                native,
                _arrays.pointer(queries),
                rows[0],
                queries.shape[1],
                _arrays.pointer(projected),
                projected.size,
                weights_pointer,
                weights_len,
                threads,
            )
            if rows[0] > _LARGE:
                _work.interruptible(lambda progress: project(progress, _NULL))
            else:
                project(_NULL, _NULL)
        else:
            _call.call(
                lib.projection_model_project,
                native,
                _arrays.pointer(queries),
                queries.size,
                _arrays.pointer(projected),
                projected.size,
                weights_pointer,
                weights_len,
            )
        return projected if weights is None else (projected, weights)

    def explain(self, query: ArrayLike) -> Explanation:
        """Explains how the model moves a query: routing weights, the training questions behind
        them, and the angle. :meth:`Searcher.explain` explains a search, with texts."""
        native = self._live()
        vector = _arrays.as_floats("query", query, (1,), self._input_dim)
        found = _work.report(
            lib.projection_model_explain, native, _arrays.pointer(vector), vector.size
        )
        return explanation.from_report(found)

    def with_temperature(self: AnyModel, temperature: float) -> AnyModel:
        """Returns a copy of the model with another temperature. The two share their vectors, and
        each is closed on its own."""
        native = self._live()
        routing = _call.number("temperature", temperature)
        return self._take(_open(lib.projection_model_with_temperature, native, routing))

    def with_precision(self: AnyModel, precision: str) -> AnyModel:
        """Returns a copy of the model that stores its vectors as "bf16", in half the memory, or
        as "int8", in a quarter. The copy is faster if there are many heads, and
        :meth:`save_file` keeps the precision. Each of the two models is closed on its own.

        Only multi-head models can be rounded, and only once: otherwise the call raises
        InvalidArgumentError.
        """
        native, number = self._live(), precision_number(precision)
        return self._take(_open(lib.projection_model_with_precision, native, number))

    def with_approximate_index(self: AnyModel, *, threads: int = 1) -> AnyModel:
        """Returns a copy of the model with an approximate index of its heads or training
        questions, so that a query is compared with a few of them only. Held-out queries find at
        least 99% of the nearest. :meth:`save_file` keeps the index. Each of the two models is
        closed on its own.

        If the index cannot reach that recall, if there are fewer than 16,384 heads or questions,
        or if all heads take part anyway, the copy has no index. Building takes seconds for
        100,000 questions.
        """
        native = self._live()
        number = _call.integer("threads", threads, 0, 2**63 - 1)
        build = lib.projection_model_build_index
        return _work.interruptible(
            lambda progress: self._take(_open(build, native, number, progress, ffi.NULL))
        )

    @property
    def index_stats(self) -> IndexStats:
        """Recall and cost measured while the model's approximate index was built. For a model
        without an index, one inverted list that is read as a whole."""
        return measured(lib.projection_model_index_stats, self._live())

    def __repr__(self) -> str:
        parts = [f"{self._kind}: {self._input_dim} → {self._output_dim}"]
        if self._heads:
            parts.append(f"{self._heads} head{'' if self._heads == 1 else 's'}")
        if self.temperature is not None:
            parts.append(f"temperature {self.temperature:g}")
        if self._precision != "f32":
            parts.append(self._precision)
        if self.closed:
            parts.append("closed")
        return f"<{type(self).__name__} {', '.join(parts)}>"


class MultiHeadProjection(Model):
    """A model of kind "multi_head": one head per cluster, mixed by softmax."""

    @classmethod
    def _take(cls: type[AnyModel], native: Any) -> AnyModel:
        model = super()._take(native)
        if model.kind != "multi_head":
            raise InvalidModelError(f"the model is of kind {model.kind}, expected multi_head")
        return model

    @classmethod
    def load_unified(
        cls, data_dir: StrPath, mh_projection_id: int, temperature: float
    ) -> MultiHeadProjection:
        """Loads a multi-head projection from the folder of its files, as :meth:`Model.load`
        does."""
        return cls.load(data_dir, mh_projection_id, temperature)


def _open(function: Any, *arguments: Any) -> Any:
    return _call.make("projection_model **", lib.projection_model_free, function, *arguments)


def stored(database: bytes, id: int, kind: Optional[str], **options: Any) -> Any:
    """Returns the native model of a projection of a store, which is opened with `options`."""
    number = lib.PROJECTION_KIND_UNKNOWN if kind is None else _number("kind", _KINDS, kind)
    store = _call.open_store(database, **options)
    return _open(lib.projection_store_model, store, id, number)


def _in_precision(native: Any, precision: Optional[str]) -> Any:
    """Returns the native model with its vectors in `precision`; None leaves them as they are."""
    if precision is None:
        return native
    return _open(lib.projection_model_with_precision, native, precision_number(precision))


def precision_number(precision: str) -> int:
    """The precision's number in C."""
    return _number("precision", _PRECISIONS, precision)


def _number(what: str, numbers: dict[str, int], name: str) -> int:
    if not isinstance(name, str) or name not in numbers:
        expected = ", ".join(numbers)
        raise InvalidArgumentError(f"{what} is {name!r:.100}, expected one of {expected}")
    return numbers[name]


def _name(numbers: dict[str, int], number: int) -> str:
    return next((name for name in numbers if numbers[name] == number), "unknown")


# Globals are looked up faster than attributes of modules.
_ndarray = np.ndarray
_empty: Any = np.empty
# Declared with untyped pointers, because cffi compares typed pointers more slowly.
_project = ffi.cast(
    "int (*)(void *, void *, size_t, void *, size_t, void *, size_t, void *)",
    lib.projection_model_project,
)
_from_buffer = ffi.from_buffer
_NULL = ffi.NULL
