"""The class that callers use."""

from __future__ import annotations

from .batches import Batches
from .search import Search

#: The tables that :meth:`LDAProjectionDB.get_stats` counts.
_COUNTED = {
    "num_answers": "answers",
    "num_questions": "questions",
    "num_clusters": "qa_clusters",
    "num_embeddings": "embeddings",
    "num_projections": "projections",
    "num_queries_logged": "query_log",
    "num_relations": "answer_relations",
    "num_models": "embedding_models",
    "num_batches": "training_batches",
    "num_batches_completed": "training_batches WHERE status = 'completed'",
}


class LDAProjectionDB(Batches, Search):
    """A store: the database `lda.db` and the arrays beside it.

    `db_path` is the database, which is created if it does not exist. `embeddings_dir` is the
    folder that arrays are written to; the default is embeddings/{model_name} beside the
    database, where every runtime finds them.

    Rows are dictionaries with the tables' columns. Threads may share an object. As a context
    manager, it is closed at the end of the block.
    """

    def get_stats(self) -> dict[str, int]:
        """Returns the numbers of rows of each kind."""
        with self._reading():
            return {
                name: int(self._value(f"SELECT count(*) FROM {table}"))
                for name, table in _COUNTED.items()
            }
