"""Distilled transformers: a drop-in for the existing Python module, without torch.

    from projection_transformer import ProjectionTransformer

    transformer = ProjectionTransformer.load("transformer.pt")
    projected = transformer.project(query_embedding)

The engine reads torch's files without executing their pickles, and computes the projections.
"""

from .architecture import generate_candidate_architectures, optimal_architecture
from .distillation import train_distillation
from .equivalence import evaluate_equivalence
from .transformer import ProjectionTransformer

__all__ = [
    "ProjectionTransformer",
    "evaluate_equivalence",
    "generate_candidate_architectures",
    "optimal_architecture",
    "train_distillation",
]
