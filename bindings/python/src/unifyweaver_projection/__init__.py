"""Semantic projections for retrieval.

A semantic projection is a small model that turns the embedding of a question into the
embedding that its answer is likely to have. Everything is computed by the engine's C
library; this package converts types and owns handles.

    from unifyweaver_projection import Embedder, Model, Searcher

    model = Model.open("lda.db", 1)
    searcher = Searcher.open("lda.db")
    embedder = Embedder.load("models/all-MiniLM-L6-v2")
    query = embedder.embed("How do I authenticate?")
    for hit in searcher.search(query, 3, model=model):
        print(hit.score, hit.text)

Models, searchers and embedders never change once made: any number of threads may share
them, and calls release the GIL.
"""

from ._native import ffi as _ffi
from ._native import lib as _lib
from ._arrays import load_array
from .distilling import (
    Agreement,
    DistillationResult,
    ExportResult,
    distill,
    distill_model,
    export,
)
from .embedder import Embedder
from .errors import (
    AmbiguousModelError,
    ArgumentTypeError,
    BufferSizeError,
    BusyError,
    CancelledError,
    ClosedError,
    DimensionMismatchError,
    InternalError,
    InvalidArgumentError,
    InvalidArrayError,
    InvalidEmbedderError,
    InvalidInputError,
    InvalidModelError,
    InvalidStoreError,
    IoError,
    NotFiniteError,
    NotFoundError,
    PanicError,
    ProjectionError,
    ZeroVectorError,
)
from .explanation import ExplainedHit, ExplainedQuestion, Explanation
from .model import Model, MultiHeadProjection
from .lists import Lists
from .searcher import Hit, Searcher
from .store import (
    EmbedResult,
    ImportedFile,
    ImportResult,
    VectorImport,
    embed_store,
    import_files,
    import_vectors,
)
from .training import (
    Evaluation,
    MethodResult,
    Metric,
    Part,
    ProtocolResult,
    TrainingResult,
    evaluate,
    train,
)

#: Version of the engine, and of this package.
__version__: str = _ffi.string(_lib.projection_version()).decode()

__all__ = [
    "Agreement",
    "AmbiguousModelError",
    "ArgumentTypeError",
    "BufferSizeError",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "DimensionMismatchError",
    "DistillationResult",
    "EmbedResult",
    "Embedder",
    "Evaluation",
    "ExplainedHit",
    "ExplainedQuestion",
    "Explanation",
    "ExportResult",
    "Hit",
    "ImportResult",
    "ImportedFile",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArrayError",
    "InvalidEmbedderError",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidStoreError",
    "IoError",
    "MethodResult",
    "Lists",
    "Metric",
    "Model",
    "MultiHeadProjection",
    "NotFiniteError",
    "NotFoundError",
    "PanicError",
    "Part",
    "ProjectionError",
    "ProtocolResult",
    "Searcher",
    "TrainingResult",
    "VectorImport",
    "ZeroVectorError",
    "__version__",
    "distill",
    "distill_model",
    "embed_store",
    "evaluate",
    "export",
    "import_files",
    "import_vectors",
    "load_array",
    "train",
]
