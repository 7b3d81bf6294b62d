"""Semantic projections for retrieval.

A semantic projection is a small model that turns the embedding of a question into the
embedding that its answer is likely to have. The engine's C library computes everything; this
package converts types and owns handles.

    from unifyweaver_projection import Embedder, Model, Searcher

    model = Model.open("lda.db", 1)
    searcher = Searcher.open("lda.db")
    embedder = Embedder.load("models/all-MiniLM-L6-v2")
    query = embedder.embed("How do I authenticate?")
    for hit in searcher.search(query, 3, model=model):
        print(hit.score, hit.text)

Models and embedders are immutable. Any number of threads may share models, searchers and
embedders, and calls release the GIL.
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
from .index import IndexStats, build_index, index_stats
from .model import Model, MultiHeadProjection
from .searcher import Hit, Searcher
from .store import (
    EmbeddingsImport,
    EmbedResult,
    ImportedFile,
    ImportResult,
    StoredModel,
    activate_model,
    delete_model,
    embed_store,
    import_embeddings,
    import_files,
    list_models,
    rename_model,
    roll_back_model,
    store_warnings,
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
    "EmbeddingsImport",
    "Evaluation",
    "ExplainedHit",
    "ExplainedQuestion",
    "Explanation",
    "ExportResult",
    "Hit",
    "ImportResult",
    "ImportedFile",
    "IndexStats",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArrayError",
    "InvalidEmbedderError",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidStoreError",
    "IoError",
    "MethodResult",
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
    "StoredModel",
    "TrainingResult",
    "ZeroVectorError",
    "__version__",
    "activate_model",
    "build_index",
    "delete_model",
    "distill",
    "distill_model",
    "embed_store",
    "evaluate",
    "export",
    "import_embeddings",
    "import_files",
    "index_stats",
    "list_models",
    "load_array",
    "rename_model",
    "roll_back_model",
    "store_warnings",
    "train",
]
