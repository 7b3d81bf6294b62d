"""Training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _call, _tables, _work
from ._native import lib
from ._store_lock import store_lock
from .errors import ArgumentTypeError
from .model import Model, precision_number

if TYPE_CHECKING:
    import pandas

_METRICS = ("recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10")


@dataclass(frozen=True)
class TrainingResult(_tables.Report):
    """A new model in a store."""

    #: The store's database, and the model's id in it.
    store: str
    id: int
    #: The method as requested, the kind of the model, and its name for people.
    method: str
    kind: str
    name: Optional[str]
    #: The embedding model of the vectors.
    model: str
    temperature: Optional[float]
    heads: int
    questions: int
    #: Clusters without vectors of both questions and answers.
    clusters_left_out: int
    #: Weight of BM25 in hybrid search, and offset of answers without training questions; None if
    #: training did not choose them.
    hybrid_weight: Optional[float] = None
    unseen_offset: Optional[float] = None
    #: Terms of the model; None if its kind has no terms.
    terms: Optional[dict[str, Any]] = None
    #: Results of the cross-validation; None without one.
    validation: Optional[dict[str, Any]] = None
    #: Number of questions added from feedback; None without `feedback_model_dir`.
    feedback_questions: Optional[int] = None
    #: Id of the active projection: the new one unless cross-validation finds it worse.
    active: Optional[int] = None
    notes: list[str] = field(default_factory=list)

    def open(self) -> Model:
        """Opens the model."""
        return Model.open(self.store, self.id)

    def _head(self) -> str:
        text = f"projection {self.id}: {self.kind}, {self.heads} heads, {self.questions} questions"
        text += f", by {self.model}"
        return text if self.temperature is None else f"{text}, temperature {self.temperature:g}"

    def _tables(self) -> list[_tables.Table]:
        rows = _validated(self.validation)
        if not rows:
            return []
        header = ["", *next(iter(rows.values()))]
        cells = [[name, *map(_cell, values.values())] for name, values in rows.items()]
        return [_tables.Table("cross-validation", header, cells)]

    def _notes(self) -> list[str]:
        return self.notes

    def to_pandas(self) -> pandas.DataFrame:
        """Returns the cross-validation as a DataFrame with a row for plain cosine, for the fixed
        parameters, for the chosen model, and for the best of each kind and linear method; empty
        without a cross-validation. Needs pandas."""
        return _pandas().DataFrame.from_dict(_validated(self.validation), orient="index")


@dataclass(frozen=True)
class Metric:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


@dataclass(frozen=True)
class Part:
    """Results on some of the questions."""

    questions: int
    recall_at_1: Metric
    recall_at_5: Metric
    mrr_at_10: Metric
    ndcg_at_10: Metric
    #: Questions that only this method answers at rank 1, and questions that only cosine does.
    gained: int
    lost: int
    #: p of McNemar's exact test of `gained` and `lost`.
    p_against_cosine: float


@dataclass(frozen=True)
class MethodResult:
    """Results of a method."""

    method: str
    #: Id of the projection; None for methods without one and for model files.
    projection_id: Optional[int]
    #: File of the model; None unless the method is a model file.
    model_file: Optional[str]
    #: How the projection's vectors are stored: "f32", "bf16" or "int8".
    precision: Optional[str]
    #: For a rounded projection, "mean_cosine" and "least_cosine" between its projected queries and
    #: those of the exact projection, and the difference in "recall_at_1"; else None.
    against_exact: Optional[dict[str, float]]
    all: Part
    #: Questions whose answer has training questions, and questions whose answer has none; None if
    #: there are no such questions.
    seen: Optional[Part]
    unseen: Optional[Part]


@dataclass(frozen=True)
class ProtocolResult:
    """Results of all methods on the same questions."""

    #: "test", "closed" (questions left out in turn) or "open" (answers left out in turn).
    protocol: str
    questions: int
    seen_questions: int
    seen_answers: int
    training_questions: int
    #: The first method is cosine.
    methods: list[MethodResult]
    #: Every question with its ranks, confusions, and other parameters; None unless requested.
    details: Optional[dict[str, Any]] = None

    def __getitem__(self, method: str) -> MethodResult:
        """Returns the results of a method by its name."""
        for found in self.methods:
            if found.method == method:
                return found
        raise KeyError(f"{method!r}, expected one of {[m.method for m in self.methods]}")


@dataclass(frozen=True)
class Evaluation(_tables.Report):
    """Results of projections and of other methods."""

    store: str
    #: The embedding model.
    model: str
    answers: int
    seed: int
    #: Projections that score below cosine.
    warnings: list[str]
    notes: list[str]
    protocols: list[ProtocolResult]

    def __getitem__(self, protocol: str) -> ProtocolResult:
        """Returns a protocol by its name: "test", "closed" or "open"."""
        for found in self.protocols:
            if found.protocol == protocol:
                return found
        raise KeyError(f"{protocol!r}, expected one of {[r.protocol for r in self.protocols]}")

    def to_pandas(self) -> pandas.DataFrame:
        """Returns a DataFrame with a row for each protocol, method and part of the questions.
        Needs pandas."""
        rows = []
        for protocol in self.protocols:
            for method in protocol.methods:
                parts = {"all": method.all, "seen": method.seen, "unseen": method.unseen}
                for name, part in parts.items():
                    if part is None:
                        continue
                    row: dict[str, Any] = {
                        "protocol": protocol.protocol,
                        "method": method.method,
                        "projection_id": method.projection_id,
                        "part": name,
                        "questions": part.questions,
                    }
                    for metric in _METRICS:
                        measured: Metric = getattr(part, metric)
                        row[metric] = measured.value
                        row[f"{metric}_low"] = measured.low
                        row[f"{metric}_high"] = measured.high
                    row["gained"], row["lost"] = part.gained, part.lost
                    row["p_against_cosine"] = part.p_against_cosine
                    rows.append(row)
        frame = _pandas().DataFrame(rows)
        # Int64 has missing values, so that ids of methods with a projection stay integers.
        frame["projection_id"] = frame["projection_id"].astype("Int64")
        return frame

    def _tables(self) -> list[_tables.Table]:
        header = ["method", "recall@1 %", "recall@5 %", "MRR@10", "gained", "lost", "p"]
        tables = []
        for protocol in self.protocols:
            rows = []
            for number, method in enumerate(protocol.methods):
                part = method.all
                row = [method.method, _percent(part.recall_at_1), _percent(part.recall_at_5)]
                row.append(f"{part.mrr_at_10:.3f}")
                # Cosine is not compared with itself.
                against = [str(part.gained), str(part.lost), _p(part.p_against_cosine)]
                rows.append(row + (against if number else ["-", "-", "-"]))
            tables.append(_tables.Table(f"{protocol.protocol}: {protocol.questions} questions", header, rows))
        return tables

    def _notes(self) -> list[str]:
        return self.notes + self.warnings


def train(
    database: _call.StrPath,
    method: str = "auto",
    *,
    tune: bool = False,
    query_only: bool = False,
    unseen: Optional[float] = None,
    seed: int = 0,
    force: bool = False,
    temperature: float = 0.1,
    name: Optional[str] = None,
    model_name: Optional[str] = None,
    feedback_model_dir: Optional[_call.StrPath] = None,
    progress: _work.Progress = True,
) -> TrainingResult:
    """Trains a model on the vectors of a store and stores it under a new id. Older models stay.
    It becomes the active one unless cross-validation finds it worse than the active one; the notes
    of the result say why.

    - `method` is "auto" (the kind that cross-validation finds best), "residual", "multi_head",
      "linear" (discriminant analysis) or "ridge".
    - `tune` chooses terms and parameters by cross-validation, which "auto" always does.
    - `query_only` leaves answers in place, for an index outside of the store that holds the answers'
      own vectors; see :attr:`Model.moves_answers`.
    - `unseen` is the expected share of questions whose answer has no training questions.
    - `seed`: the same seed produces the same model.
    - `force` stores the model even if its validation is below plain cosine.
    - `temperature` is that of routing or rotation, if cross-validation does not choose it.
    - `name` is a name for people.
    - `model_name` is the embedding model whose vectors are used; None stands for the only one.
    - `feedback_model_dir` is the folder of an embedding model: logged queries with helpful
      feedback are embedded and become questions before training.
    - `progress` is True for a bar, False for none, or a function that is called with (stage, done,
      total, loss). Ctrl-C cancels the work, as does a function that raises an exception or
      returns False; the store's models then stay as they were.

    Raises InvalidModelError if the validation is below plain cosine, unless `force` is set, and
    BusyError if another process is writing to the store.
    """
    routing = _call.number("temperature", temperature)
    options = _call.options(
        method=_call.optional_text("method", method),
        tune=bool(tune),
        query_only=bool(query_only),
        force=bool(force),
        unseen=None if unseen is None else _call.number("unseen", unseen),
        seed=_call.integer("seed", seed, 0, 2**64 - 1),
        temperature=routing,
        name=_call.optional_text("name", name),
        model_name=_call.optional_text("model_name", model_name),
        feedback_model_dir=_call.optional_path("feedback_model_dir", feedback_model_dir),
    )
    store = _call.path("database", database)
    with store_lock(database).engine():
        report = _work.run(lib.projection_train, progress, store, options)
    return TrainingResult(store=store.decode(), **{"name": None, "temperature": None, **report})


def evaluate(
    database: _call.StrPath,
    projections: Union[int, Sequence[int], None] = None,
    *,
    models: Sequence[_call.StrPath] = (),
    precisions: Sequence[str] = (),
    test: Optional[_call.StrPath] = None,
    model_dir: Optional[_call.StrPath] = None,
    test_questions: Optional[_call.StrPath] = None,
    test_labels: Optional[_call.StrPath] = None,
    format: Optional[str] = None,
    question_column: Optional[str] = None,
    answer_column: Optional[str] = None,
    id_column: Optional[str] = None,
    split: Optional[str] = None,
    model_name: Optional[str] = None,
    folds: int = 4,
    seed: int = 0,
    details: bool = False,
    force: bool = False,
    progress: _work.Progress = True,
) -> Evaluation:
    """Evaluates projections of a store, by default the active one, beside cosine, BM25 and the
    nearest training question.

    Test questions come from a question-answer file, `test`, which is read as
    :func:`import_files` reads it (of a BEIR folder, `split` is "test" by default), and which the
    embedding model in `model_dir` embeds (InvalidEmbedderError if it did not make the vectors of the store, unless
    `force` is set), or from two .npy files: `test_questions` has their vectors (n, d), and
    `test_labels` the ids of their right answers. Without test questions, questions and then
    answers with all their questions are left out in turn, and every method is trained again on
    the others.

    `models` are files of further models, which need test questions. Multi-head projections and
    models are also evaluated in each of `precisions`, "bf16" or "int8".

    `progress` is as for :func:`train`.
    """
    numbers = None
    if projections is not None:
        listed = [projections] if hasattr(projections, "__index__") else projections
        if isinstance(listed, (str, bytes)) or not hasattr(listed, "__iter__"):
            kind = type(projections).__name__
            raise ArgumentTypeError(f"projections is of type {kind}, expected ids")
        numbers = [_call.model_id(f"projections[{i}]", id) for i, id in enumerate(listed)]
    for name, value in (("models", models), ("precisions", precisions)):
        if isinstance(value, (str, bytes)):
            raise ArgumentTypeError(f"{name} is of type {type(value).__name__}, expected a list")
    for precision in precisions:
        precision_number(precision)
    options = _call.options(
        projections=numbers,
        models=[_call.path(f"models[{i}]", file).decode() for i, file in enumerate(models)],
        precisions=list(precisions),
        test=_call.optional_path("test", test),
        test_file=_call.file_options(format, question_column, answer_column, id_column, split),
        model_dir=_call.optional_path("model_dir", model_dir),
        test_questions=_call.optional_path("test_questions", test_questions),
        test_labels=_call.optional_path("test_labels", test_labels),
        model_name=_call.optional_text("model_name", model_name),
        folds=_call.integer("folds", folds, 2, 2**31),
        seed=_call.integer("seed", seed, 0, 2**64 - 1),
        details=bool(details),
        force=bool(force),
    )
    store = _call.path("database", database)
    with store_lock(database).engine():
        report = _work.run(lib.projection_evaluate, progress, store, options)
    report["protocols"] = [_protocol(found) for found in report["protocols"]]
    return Evaluation(**report)


def _protocol(found: dict[str, Any]) -> ProtocolResult:
    def part(values: Optional[dict[str, Any]]) -> Optional[Part]:
        if values is None:
            return None
        converted: dict[str, Any] = dict(values)
        converted.update((name, Metric(**values[name])) for name in _METRICS)
        return Part(**converted)

    methods = []
    for method in found.pop("methods"):
        parts: dict[str, Any] = {n: part(method.pop(n)) for n in ("all", "seen", "unseen")}
        methods.append(MethodResult(**method, **parts))
    return ProtocolResult(methods=methods, **found)


def _validated(validation: Optional[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the rows of the cross-validation by name; empty without one."""
    if validation is None:
        return {}
    found = {"plain cosine": validation["cosine"]}
    found["chosen"] = validation["model"]
    for best in validation["best_of_kinds"]:
        # There are several linear methods, each with a best candidate of its own.
        found[f"best {best['recipe'].get('method', best['kind'])}"] = best["validated"]
    rows = {}
    for name, numbers in found.items():
        row = {"score": numbers["score"]}
        for part in ("seen", "unseen"):
            count = numbers[part]["questions"]
            row[f"{part}_questions"] = count
            for metric in ("recall_at_1", "mrr_at_10"):
                # Without questions there is no mean.
                row[f"{part}_{metric}"] = numbers[part][metric] if count else None
        rows[name] = row
    return rows


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _percent(metric: Metric) -> str:
    scaled = Metric(100 * metric.value, 100 * metric.low, 100 * metric.high)
    return f"{scaled:.1f}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas") from error
    return pandas
