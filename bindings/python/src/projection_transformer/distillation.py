"""Training a transformer to project as another model does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Optional

from unifyweaver_projection import Model, _arrays, _call, distill_model

if TYPE_CHECKING:
    from unifyweaver_projection._arrays import ArrayLike

    from .transformer import ProjectionTransformer

_log = logging.getLogger(__name__)

#: Queries of an epoch.
_SAMPLES = 4096


def train_distillation(
    transformer: ProjectionTransformer,
    lda_projection: Any,
    query_embeddings: ArrayLike,
    num_epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 1e-4,
    log_interval: int = 10,
    cosine_weight: float = 0.5,
) -> list[float]:
    """Trains a transformer to project as `lda_projection` does: a model of the engine, or any object
    whose method `project` takes a query of shape (embed_dim,) and returns the projected query, alone
    or first in a tuple. Returns the mean loss of each epoch.

    The transformer is trained from scratch, even if it has been trained before. It learns from
    queries that the engine generates around `query_embeddings` of shape (n, embed_dim), n at
    least 4. The learning rate rises to `learning_rate` and falls again. A fifth of the queries is
    held out: training ends early when they no longer improve, and the best weights are kept. The
    loss is logged every `log_interval` epochs.
    """
    queries = _arrays.as_floats("query_embeddings", query_embeddings, (2,), transformer.embed_dim)
    batch = _call.integer("batch_size", batch_size, 1, 1024)
    # Any teacher is asked about as many queries as its training would cost elsewhere.
    few = min(_SAMPLES, max(batch, 4 * len(queries)))
    interval = _call.integer("log_interval", log_interval, 1, 2**31)
    losses: list[float] = []

    def note(_: str, done: int, total: int, loss: Optional[float]) -> None:
        # The same numbers may come again.
        if loss is None or done <= len(losses):
            return
        losses.append(loss)
        if done % interval == 0:
            _log.info("epoch %d of %d, loss %.6f", done, total, loss)

    trained = distill_model(
        lda_projection,
        queries,
        heads=transformer.num_heads,
        layers=transformer.num_layers,
        ff_dim=transformer.ff_dim,
        dropout=transformer.dropout_rate,
        epochs=num_epochs,
        samples=_SAMPLES if isinstance(lda_projection, Model) else few,
        batch=batch,
        rate=learning_rate,
        cosine_weight=cosine_weight,
        progress=note,
    )
    transformer._set_model(trained)
    return losses
