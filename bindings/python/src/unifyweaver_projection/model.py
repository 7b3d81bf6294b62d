"""Trained models."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, Optional, TypeVar, Union, overload

import numpy as np

from . import _arrays, _call, _work, explanation
from ._arrays import F32
from ._native import ffi, lib
from ._store_lock import store_lock
from .errors import ArgumentTypeError, InvalidArgumentError, InvalidModelError
from .lists import Lists, found_by

if TYPE_CHECKING:
    from ._arrays import ArrayLike, Floats
    from ._call import StrPath
    from .explanation import Explanation

_PRECISIONS = {1: "f32", 2: "bf16", 3: "int8"}
_KINDS = {1: "multi_head", 2: "residual", 3: "linear", 4: "transformer"}

AnyModel = TypeVar("AnyModel", bound="Model")


class Model(_call.Handle):
    """A trained projection, of any kind.

    It never changes, and any number of threads may use it at once. It may be used as a
    context manager, which closes it at the end.
    """

    # What a fast call needs, looked up once.
    _heads: int

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} has no constructor: use Model.open, Model.load or Model.load_file"
        )

    @classmethod
    def _take(cls: type[AnyModel], native: Any) -> AnyModel:
        """A model that owns `native`."""
        model = cls.__new__(cls)
        model._object = native
        model._kind = _KINDS.get(int(lib.projection_model_kind(native)), "unknown")
        model._precision = _PRECISIONS.get(int(lib.projection_model_precision(native)), "unknown")
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
        id: int,
        *,
        kind: Optional[str] = None,
        precision: Optional[str] = None,
    ) -> AnyModel:
        """Opens projection `id` of the store whose database is the file `database`.

        The temperature is the one that the database gives. `kind`, one of "multi_head",
        "residual" and "linear", is needed only where a store has two projections of the same
        id; a residual projection opens as a multi-head one too. `precision` is how its
        vectors are kept, see :meth:`with_precision`; here and below, None leaves them as they
        are.

        Raises NotFoundError, InvalidStoreError, or InvalidModelError, InvalidArrayError and
        others where files are unusable.
        """
        name, number = _call.path("database", database), _call.model_id("id", id)
        with store_lock(database).engine():
            made = _open(
                lib.projection_store_model,
                _call.open_store(name),
                number,
                0 if kind is None else _kind_number(kind),
            )
        return cls._take(_in_precision(made, precision))

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

        `temperature` is that of the routing, 0.1 is the usual one. Without it the files have
        to say it, which those of a multi-head model may not: InvalidArgumentError.
        """
        name, number = _call.path("folder", folder), _call.model_id("id", id)
        if temperature is None:
            made = _open(lib.projection_model_load_as_trained, name, number)
        else:
            routing = _call.number("temperature", temperature)
            made = _open(lib.projection_model_load, name, number, routing)
        return cls._take(_in_precision(made, precision))

    @classmethod
    def load_file(
        cls: type[AnyModel], path: StrPath, *, precision: Optional[str] = None
    ) -> AnyModel:
        """Opens the model in one .safetensors file, of whatever kind, at the temperature that
        the file gives; or a distilled transformer in a .pt file of torch.

        A .safetensors file is mapped into memory: as long as the model is in use, it must not
        be changed in place. Replacing it, as :meth:`save_file` does, or removing it is safe.
        """
        made = _open(lib.projection_model_load_file, _call.path("path", path))
        return cls._take(_in_precision(made, precision))

    @classmethod
    def from_bytes(
        cls: type[AnyModel],
        data: Union[bytes, bytearray, memoryview],
        *,
        precision: Optional[str] = None,
    ) -> AnyModel:
        """Reads a model from the bytes of such a file, which are copied."""
        try:
            values = ffi.from_buffer("uint8_t[]", data)
        except (TypeError, ValueError, BufferError):
            kind = type(data).__name__
            raise ArgumentTypeError(f"data is of type {kind}, expected contiguous bytes") from None
        made = _open(lib.projection_model_from_bytes, values, len(values))
        return cls._take(_in_precision(made, precision))

    def save_file(self, path: StrPath) -> None:
        """Writes the model to one .safetensors file, which every language opens. A file that
        was there is replaced only by the complete new one."""
        _call.call(lib.projection_model_save_file, self._live(), _call.path("path", path))

    @property
    def parameters(self) -> dict[str, Any]:
        """Kind and parameters, as a model file has them."""
        text = _call.make(
            "projection_text **",
            lib.projection_text_free,
            lib.projection_model_parameters,
            self._live(),
        )
        found: dict[str, Any] = json.loads(ffi.string(lib.projection_text_data(text)))
        return found

    @property
    def kind(self) -> str:
        """"multi_head", "residual", "linear" or "transformer". This and the other properties,
        but for :attr:`parameters`, may still be asked for after :meth:`close`."""
        return self._kind

    @property
    def precision(self) -> str:
        """How the vectors are kept: "f32", "bf16" or "int8"."""
        return self._precision

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
        """Number of heads, which is that of routing weights; 0 for a linear model."""
        return self._heads

    @property
    def head_ids(self) -> _arrays.Ids:
        """Cluster ids of the heads in ascending order, which is that of routing weights."""
        return self._head_ids

    @property
    def temperature(self) -> Optional[float]:
        """Temperature of the routing; None for kinds that have none."""
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

        Gives the projected query or queries as float32, of shape (output_dim,) or (n,
        output_dim). With `return_weights` gives a pair: these, and the routing weights, of
        shape (num_heads,) or (n, num_heads), in the order of :attr:`head_ids`; the weights
        of a query sum to 1.

        Queries may have any real dtype, memory order and strides. Row-major float32 is read
        where it lies, everything else is converted to that first. `out` and `weights_out`
        are float32 arrays that results are written to, and which are then given back; they
        are written only on success. `threads` of the engine share n queries out and end before
        the call returns; 1 is the caller's.

        Raises DimensionMismatchError, NotFiniteError or ZeroVectorError where a query is
        unusable (one of them fails the whole batch), BufferSizeError for an output of
        another shape, and ArgumentTypeError or InvalidArgumentError for what is no array of
        real numbers.
        """
        native = self._object
        # The way of a single float32 vector: no conversion, no place for an error, and no check
        # that the library or cffi makes anyway. Where it fails, the other way finds out why.
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
            _call.call(
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
        """How the model moves a query: routing weights, the training questions behind them,
        and the angle. :meth:`Searcher.explain` says it of a search, with texts."""
        native = self._live()
        vector = _arrays.as_floats("query", query, (1,), self._input_dim)
        found = _work.report(
            lib.projection_model_explain, native, _arrays.pointer(vector), vector.size
        )
        return explanation.take(found, lambda answer_id: None)

    def with_temperature(self: AnyModel, temperature: float) -> AnyModel:
        """A copy of the model that routes at another temperature. The two share their
        vectors, and each is closed on its own."""
        native = self._live()
        routing = _call.number("temperature", temperature)
        return self._take(_open(lib.projection_model_with_temperature, native, routing))

    def with_precision(self: AnyModel, precision: str) -> AnyModel:
        """A copy of the model that keeps its vectors in "bf16", in half the memory, or in
        "int8", in a quarter; it is faster where there are many heads, and
        :meth:`save_file` keeps the precision. Each of the two models is closed on its own.

        Only multi-head models do that: InvalidArgumentError for others, and for another
        precision than that of a model which is rounded already.
        """
        native = self._live()
        number = precision_number(precision)
        return self._take(_open(lib.projection_model_with_precision, native, number))

    def with_lists(self: AnyModel, *, threads: int = 1) -> AnyModel:
        """A copy of the model with its heads or training questions in lists, so that the
        nearest of many are found without comparing a query with each: at least 99% of them,
        for queries that are held out. :meth:`save_file` keeps the lists. Each of the two
        models is closed on its own.

        Where lists cannot do that, below 16,384 heads or questions, and where all heads take
        part anyway, the copy is as the model. Takes seconds for 100,000 questions."""
        native = self._live()
        number = _call.integer("threads", threads, 0, 2**63 - 1)
        return self._take(_open(lib.projection_model_build_index, native, number))

    @property
    def lists(self) -> Lists:
        """What was found out when the model's lists were made; one list that is read as a
        whole for a model without."""
        return found_by(lib.projection_model_index_stats, self._live())

    @staticmethod
    def keep_lists(database: StrPath, id: int, *, threads: int = 1) -> Lists:
        """Makes lists as :meth:`with_lists` does, of projection `id` of the store whose
        database is the file `database`, and keeps them in a file beside the projection's
        others: whoever opens it afterwards has them, and what does not know them does as
        before. Where there are no lists worth making, none are kept.

        Lists that are damaged, or of other vectors than the projection has later, are not
        used: make them anew then. :meth:`check_lists` says so."""
        name, number = _call.path("database", database), _call.model_id("id", id)
        count = _call.integer("threads", threads, 0, 2**63 - 1)
        with store_lock(database).engine():
            store = _call.open_store(name)
            return found_by(lib.projection_store_build_index, store, number, count)

    @staticmethod
    def check_lists(database: StrPath, id: int) -> Lists:
        """What was found out when the lists were made that are kept for projection `id` of
        the store; one list that is read as a whole where none are kept.

        Raises InvalidModelError, and says why, where they are damaged or of other vectors
        than the projection has: it opens without them."""
        name, number = _call.path("database", database), _call.model_id("id", id)
        with store_lock(database).engine():
            return found_by(lib.projection_store_index_stats, _call.open_store(name), number)

    def __enter__(self: AnyModel) -> AnyModel:
        self._live()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    _kind: str
    _precision: str
    _input_dim: int
    _output_dim: int
    _temperature: float
    _head_ids: _arrays.Ids


class MultiHeadProjection(Model):
    """A model of kind "multi_head": one head a cluster, mixed by softmax."""

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


def _in_precision(made: Any, precision: Optional[str]) -> Any:
    """The native model with its vectors as they are wanted."""
    if precision is None:
        return made
    return _open(lib.projection_model_with_precision, made, precision_number(precision))


def precision_number(precision: str) -> int:
    """The precision's number in C."""
    for number, name in _PRECISIONS.items():
        if name == precision:
            return number
    expected = ", ".join(_PRECISIONS.values())
    raise InvalidArgumentError(f"precision is {precision!r:.100}, expected one of {expected}")


def _kind_number(kind: str) -> int:
    for number, name in _KINDS.items():
        if name == kind:
            return number
    raise InvalidArgumentError(f"kind is {kind!r:.100}, expected one of {', '.join(_KINDS.values())}")


# Globals are looked up faster than attributes of modules.
_ndarray = np.ndarray
_empty: Any = np.empty
# Without the types of what its pointers lead to, which take longer to compare.
_project = ffi.cast(
    "int (*)(void *, void *, size_t, void *, size_t, void *, size_t, void *)",
    lib.projection_model_project,
)
_from_buffer = ffi.from_buffer
_NULL = ffi.NULL
