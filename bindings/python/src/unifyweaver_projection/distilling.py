"""Distillation, and export of models to files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

import numpy as np

from . import _arrays, _call, _tables, _work
from ._arrays import F32
from ._native import ffi, lib
from ._store_lock import store_lock
from .errors import ArgumentTypeError, DimensionMismatchError, InvalidArgumentError
from .model import Model

if TYPE_CHECKING:
    from ._arrays import ArrayLike, Floats

_MAX_COUNT = 2**31


@dataclass(frozen=True)
class Agreement:
    """How close a transformer is to the projection that it was distilled from."""

    questions: int
    #: Mean and minimum of the cosines between the two projections of a question.
    mean_cosine: float
    min_cosine: float
    #: Share of the questions for which the same answer comes first.
    same_first: Optional[float]


@dataclass(frozen=True)
class DistillationResult(_tables.Report):
    """A distilled transformer in a file."""

    #: The teacher's id and kind, and the embedding model of its queries.
    projection_id: int
    kind: str
    model: str
    #: The file.
    output: str
    heads: int
    layers: int
    ff_dim: int
    #: Number of weights.
    weights: int
    #: Number of epochs, and the epoch whose weights were kept.
    epochs: int
    best_epoch: int
    seconds: float
    #: Agreement on held-out questions, and on the questions that it was trained with.
    held_out: Agreement
    trained: Agreement
    notes: list[str] = field(default_factory=list)

    def open(self) -> Model:
        """Opens the transformer."""
        return Model.load_file(self.output)

    def _head(self) -> str:
        return (
            f"{self.output}: transformer of {self.layers} layers and {self.heads} heads, "
            f"{self.weights} weights, distilled from {self.kind} projection {self.projection_id} "
            f"in {self.epochs} epochs ({self.seconds:.0f} s)"
        )

    def _tables(self) -> list[_tables.Table]:
        rows = []
        for name, agreed in (("held out", self.held_out), ("trained", self.trained)):
            same = "-" if agreed.same_first is None else f"{100 * agreed.same_first:.1f} %"
            cosines = [f"{agreed.mean_cosine:.4f}", f"{agreed.min_cosine:.4f}"]
            rows.append([name, str(agreed.questions), *cosines, same])
        header = ["agreement", "questions", "mean cosine", "lowest", "same first answer"]
        return [_tables.Table("", header, rows)]

    def _notes(self) -> list[str]:
        return self.notes


@dataclass(frozen=True)
class ExportResult:
    """An exported model."""

    projection_id: int
    kind: str
    #: None if the kind has no temperature.
    temperature: Optional[float]
    #: How a multi-head projection's vectors are stored.
    precision: str
    heads: int
    input_dim: int
    output_dim: int
    #: "safetensors" or "onnx".
    format: str
    #: The file, and its size.
    output: str
    bytes: int
    #: What the file leaves to its user, such as moved answers to an ONNX graph.
    notes: list[str]
    #: Recall and cost of the approximate index in the file, if there is one.
    index: Optional[dict[str, Any]] = None

    def __str__(self) -> str:
        return (
            f"{self.output}: {self.kind} projection {self.projection_id}, {self.heads} heads, "
            f"dimension {self.input_dim} to {self.output_dim}, {self.bytes} bytes"
        )


def distill(
    database: _call.StrPath,
    *,
    output: _call.StrPath,
    projection: Optional[int] = None,
    heads: Optional[int] = None,
    layers: Optional[int] = None,
    ff_dim: int = 512,
    dropout: float = 0.0,
    epochs: int = 200,
    samples: int = 4096,
    rate: float = 3e-3,
    cosine_weight: float = 0.7,
    test: Optional[_call.StrPath] = None,
    held_out: float = 0.2,
    seed: int = 0,
    threads: Optional[int] = None,
    progress: _work.Progress = True,
) -> DistillationResult:
    """Distills a projection of a store, by default the active one, into a transformer, which is
    written to the .safetensors file `output`. The store is only read.

    If `heads` and `layers` are None, they are chosen such that heads^layers is near the
    projection's number of heads. The loss is (1 - λ)·MSE + λ·(1 - cosine), where λ is
    `cosine_weight`. Each of at most `epochs` epochs uses `samples` new queries. A share
    `held_out` of the store's questions is held out; training ends when they no longer improve.
    `test` is a .npy file of question vectors (n, d) that the projection was not trained on, to
    measure with instead. The same `seed` produces the same file.

    `progress` is as for :func:`train`; it is invoked after each epoch with the mean loss. If the
    work is cancelled, no file is written.
    """
    options = _options(
        heads, layers, ff_dim, dropout, epochs, samples, rate, cosine_weight, held_out, seed, threads
    )
    options["test"] = _call.optional_path("test", test)
    if projection is not None:
        options["projection"] = _call.model_id("projection", projection)
    native = _call.options(**options)
    store, file = _call.path("database", database), _call.path("output", output)
    with store_lock(database).engine():
        report = _work.run(lib.projection_distill, progress, store, file, native)
    report.update((name, Agreement(**report[name])) for name in ("held_out", "trained"))
    return DistillationResult(**report)


class Teacher(Protocol):
    """Anything that projects queries."""

    def project(self, query: Any, /) -> Any:
        """Projects a query of shape (d,) and returns the projected query, alone or first in a
        tuple."""


def distill_model(
    teacher: Union[Model, Teacher],
    questions: ArrayLike,
    *,
    heads: Optional[int] = None,
    layers: Optional[int] = None,
    ff_dim: int = 512,
    dropout: float = 0.0,
    epochs: int = 200,
    samples: int = 4096,
    batch: int = 128,
    rate: float = 3e-3,
    cosine_weight: float = 0.7,
    held_out: float = 0.2,
    seed: int = 0,
    threads: Optional[int] = None,
    progress: _work.Progress = True,
) -> Model:
    """Distills a model, or any object with a method `project`, into a transformer with four or more
    questions of shape (n, d). A share `held_out` of the questions is held out and decides when
    training ends. `batch` is the number of queries per training step. The other arguments are those
    of :func:`distill`.

    A teacher that is not a :class:`Model` is called once for each of the `samples` queries of each
    epoch, with a float32 array of shape (d,) and length 1. What it raises cancels the work.
    """
    options = _options(
        heads, layers, ff_dim, dropout, epochs, samples, rate, cosine_weight, held_out, seed, threads
    )
    options["batch"] = min(_call.integer("batch", batch, 1, _MAX_COUNT), options["samples"])
    raised: list[BaseException] = []
    if isinstance(teacher, Model):
        function = lib.projection_model_distill
        rows = _arrays.as_floats("questions", questions, (2,), teacher.input_dim)
        first = [teacher._live()]
    elif callable(getattr(teacher, "project", None)):
        function = lib.projection_function_distill
        rows = _arrays.as_floats("questions", questions, (2,))
        dims = rows.shape[1], projected_by(teacher, rows[0]).size if len(rows) else 1
        first = [_callback(teacher, dims, raised), ffi.NULL, *dims]
    else:
        raise ArgumentTypeError(
            f"teacher is of type {type(teacher).__name__}, expected a Model or an object with a "
            f"method project"
        )
    student = _work.make_with_progress(
        "projection_model **",
        lib.projection_model_free,
        function,
        progress,
        *first,
        _arrays.pointer(rows),
        len(rows),
        _call.options(**options),
        raised=raised,
    )
    return Model._take(student)


def projected_by(teacher: Any, query: Floats) -> Floats:
    """Projects a query with any teacher."""
    projected = teacher.project(query)
    if isinstance(projected, tuple):
        projected = projected[0]
    found = _arrays.as_floats("the teacher's projection", projected, (1, 2))
    if found.ndim == 2 and len(found) != 1:
        raise DimensionMismatchError(
            f"the teacher's projection has the shape {found.shape}, expected one row"
        )
    return found.reshape(-1)


def _callback(teacher: Any, dims: tuple[int, int], raised: list[BaseException]) -> Any:
    """Returns a teacher as a function for C. The caller keeps it until the call returns."""

    def project(_: Any, queries: Any, n: int, projected: Any) -> int:
        # Copied, because the teacher may keep a query.
        rows = np.frombuffer(ffi.buffer(queries, 4 * n * dims[0]), F32).reshape(n, -1).copy()
        places = np.frombuffer(ffi.buffer(projected, 4 * n * dims[1]), F32).reshape(n, -1)
        for query, place in zip(rows, places):
            found = projected_by(teacher, query)
            if found.shape != place.shape:
                raise DimensionMismatchError(
                    f"the teacher's projection has {found.size} values, expected {place.size} as "
                    f"that of the first question"
                )
            place[:] = found
        return 0

    def on_error(_type: Any, exception: Any, _traceback: Any) -> int:
        raised.append(exception)
        return 1

    return ffi.callback(
        "int32_t(void *, const float *, size_t, float *)", project, onerror=on_error
    )


def export(
    database: _call.StrPath,
    projection: Optional[int] = None,
    *,
    output: _call.StrPath,
    format: str = "safetensors",
    temperature: Optional[float] = None,
    precision: str = "f32",
) -> ExportResult:
    """Writes a projection of a store, by default the active one, to the file `output`, for programs
    that have no store. `format` is "safetensors", which contains everything and opens in every
    language of the engine, or "onnx", a graph for ONNX Runtime. `temperature` replaces the stored
    temperature. `precision` is "f32", or for a multi-head projection "bf16" or "int8", see
    :meth:`Model.with_precision`.

    An existing file is replaced only by the complete new one.
    """
    options = _call.options(
        projection=None if projection is None else _call.model_id("projection", projection),
        format=_call.optional_text("format", format),
        temperature=None if temperature is None else _nonzero("temperature", temperature),
        precision=_call.optional_text("precision", precision),
    )
    store, file = _call.path("database", database), _call.path("output", output)
    with store_lock(database).engine():
        report = _work.run(lib.projection_export, False, store, file, options)
    return ExportResult(**report)


def _options(
    heads: Optional[int],
    layers: Optional[int],
    ff_dim: int,
    dropout: float,
    epochs: int,
    samples: int,
    rate: float,
    cosine_weight: float,
    held_out: float,
    seed: int,
    threads: Optional[int],
) -> dict[str, Any]:
    counts = {"heads": heads, "layers": layers, "threads": threads}
    counts.update(ff_dim=ff_dim, epochs=epochs, samples=samples)
    options: dict[str, Any] = {
        name: _call.integer(name, count, 1, _MAX_COUNT)
        for name, count in counts.items()
        if count is not None
    }
    options["dropout"] = _call.number("dropout", dropout)
    options["rate"] = _nonzero("rate", rate)
    options["held_out"] = _nonzero("held_out", held_out)
    options["cosine_weight"] = _call.number("cosine_weight", cosine_weight)
    options["seed"] = _call.integer("seed", seed, 0, 2**64 - 1)
    return options


def _nonzero(name: str, value: float) -> float:
    """Converts a number that must not be 0."""
    number = _call.number(name, value)
    if number == 0.0:
        raise InvalidArgumentError(f"{name} is 0, expected a number above 0")
    return number
