"""How close a transformer is to the projection that it was distilled from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unifyweaver_projection.distilling import projected_by

if TYPE_CHECKING:
    from unifyweaver_projection._arrays import ArrayLike

    from .transformer import ProjectionTransformer


def evaluate_equivalence(
    transformer: ProjectionTransformer, lda_projection: Any, test_embeddings: ArrayLike
) -> dict[str, Any]:
    """Compares a transformer with its teacher on queries of shape (n, embed_dim).

    `lda_projection` has a method `project` that takes one query and returns the projected query,
    alone or with routing weights. Returns mean and standard deviation of the squared error and of
    the cosine, the smallest and the largest cosine, and n.
    """
    queries = np.asarray(test_embeddings)
    if queries.ndim != 2 or len(queries) == 0:
        raise ValueError(f"test_embeddings has the shape {queries.shape}, expected (n, embed_dim)")
    expected = np.stack([projected_by(lda_projection, query) for query in queries]).astype(np.float64)
    found = transformer.project(queries).astype(np.float64)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosines = (expected * found).sum(axis=1) / np.maximum(lengths, 1e-300)
    errors = ((expected - found) ** 2).mean(axis=1)
    return {
        "mean_mse": float(errors.mean()),
        "std_mse": float(errors.std()),
        "mean_cosine_sim": float(cosines.mean()),
        "std_cosine_sim": float(cosines.std()),
        "min_cosine_sim": float(cosines.min()),
        "max_cosine_sim": float(cosines.max()),
        "n_samples": len(queries),
    }
