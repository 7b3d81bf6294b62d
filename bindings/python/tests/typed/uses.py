"""Typical user code, which mypy --strict checks against the installed package."""

from typing import Optional

import numpy as np
import numpy.typing as npt

import unifyweaver_projection as up
from lda_database import LDAProjectionDB
from projection_transformer import ProjectionTransformer


def ask(query: npt.NDArray[np.float32]) -> Optional[str]:
    with up.Model.open("lda.db", 1) as model, up.Searcher.open("lda.db") as searcher:
        projected: npt.NDArray[np.float32] = model.project(query)
        both, weights = model.project(query.astype(np.float64), return_weights=True)
        wanted = bool(len(weights))
        either = model.project([1.0, 2.0], wanted)
        assert isinstance(either, tuple) or either.shape == both.shape
        hits: list[up.Hit] = searcher.search(projected, 3, model=model, hybrid=0.2, text="?")
        return hits[0].text


def head() -> up.MultiHeadProjection:
    model = up.MultiHeadProjection.load_unified("embeddings", 1, 0.1)
    return model.with_temperature(0.5)


def train() -> float:
    result: up.TrainingResult = up.train("lda.db", progress=lambda *step: None)
    evaluation = up.evaluate(result.store, result.id)
    return evaluation["closed"]["cosine"].all.recall_at_1.value


def distill() -> float:
    result: up.DistillationResult = up.distill("lda.db", output="t.safetensors", heads=4)
    exported: up.ExportResult = up.export("lda.db", output="t.onnx", format="onnx")
    return result.held_out.mean_cosine + exported.bytes


def index(searcher: up.Searcher, model: up.Model) -> float:
    stats: up.IndexStats = searcher.build_index(threads=2)
    stored = up.build_index("lda.db", 1)
    return stats.recall + stored.recall + model.with_approximate_index().index_stats.read


def drop_in(query: npt.NDArray[np.float32]) -> tuple[Optional[str], npt.NDArray[np.float32]]:
    with LDAProjectionDB("lda.db") as db:
        found = db.get_multi_head_projection(1)
        name: Optional[str] = None if found is None else found["name"]
        ids, vectors = db.get_all_answer_embeddings(1)
        assert len(ids) == len(vectors) and db.search(query, 2, top_k=3)[0]["score"]
    return name, ProjectionTransformer.load("transformer.pt").project(query)
