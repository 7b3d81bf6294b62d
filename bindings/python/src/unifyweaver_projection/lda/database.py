"""The class that callers know."""

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

    `db_path` is the database, which is made where there is none. `embeddings_dir` is the
    folder that arrays are written to; without it they go into embeddings/{model_name} beside
    the database, where every runtime finds them.

    Rows are dictionaries with the tables' columns. Threads may share an object of the class,
    and use it as a context manager, which closes it at the end.
    """

    def get_stats(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        with self._reading():
            return {
                name: int(self._value(f"SELECT count(*) FROM {table}"))
                for name, table in _COUNTED.items()
            }
