"""Search through projections, by the engine.

Models and answers stay in memory between searches. They are opened again if their rows or files
have changed, even by another program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

from .. import _call
from ..model import Model, stored
from ..searcher import Searcher
from .answers import Answers
from .embeddings import Embeddings
from .multi_head import MultiHead
from .query_log import QueryLog

if TYPE_CHECKING:
    from .._arrays import ArrayLike
    from .._call import StrPath
    from .connection import Row


class _Cached(NamedTuple):
    """A model or searcher, and the state of the store when it was opened."""

    #: The version of the database.
    version: Any
    #: The rows and the stamps of the files that it was made of.
    origin: Any
    opened: Any


class Search(Answers, Embeddings, MultiHead, QueryLog):
    """Search for embedded queries."""

    def __init__(self, db_path: StrPath, embeddings_dir: Optional[StrPath] = None) -> None:
        super().__init__(db_path, embeddings_dir)
        self._cache: dict[Any, _Cached] = {}
        # Held while a model or searcher is opened. Acquired before the store's lock, never while
        # that is held.
        self._opening = threading.Lock()

    def close(self) -> None:
        """Closes the database and drops cached models and answers. Closing twice does nothing."""
        super().close()
        self._cache.clear()

    def search(
        self,
        query_embedding: ArrayLike,
        projection_id: int,
        top_k: int = 5,
        log: bool = True,
        query_text: Optional[str] = None,
    ) -> list[Row]:
        """Projects a query with a linear projection and returns the `top_k` nearest answers, best
        first: `answer_id`, `score`, which is the cosine, and the columns of the answer.

        With `log` and `query_text`, the query is logged. Raises ValueError if the projection does
        not exist, and if the query has another dimension, is zero, or holds NaN or infinity.
        """
        count = _count(top_k)
        row = self._projection_row(projection_id)
        if row is None:
            raise ValueError(f"Projection {projection_id} not found")
        model = self._model("linear", projection_id, None, [row])
        searcher = self._searcher(row["output_model_id"], row["output_model_name"] or "")
        results = [] if searcher is None else self._found(searcher, model, query_embedding, count)
        if log and query_text:
            self._log_results(query_text, row["input_model_id"], projection_id, results)
        return results

    def search_with_embedder(
        self,
        query_text: str,
        projection_id: int,
        embedder: Any,
        top_k: int = 5,
        log: bool = True,
    ) -> list[Row]:
        """Embeds a text and searches as :meth:`search` does. `embedder` has a method `encode`, like
        models of sentence-transformers, or `embed`, or is a function from text to vector."""
        if hasattr(embedder, "encode"):
            query = embedder.encode(query_text, convert_to_numpy=True)
        elif hasattr(embedder, "embed"):
            query = embedder.embed(query_text)
        else:
            query = embedder(query_text)
        return self.search(query, projection_id, top_k, log, query_text)

    def multi_head_search(
        self,
        query_embedding: ArrayLike,
        mh_projection_id: int,
        top_k: int = 5,
        log: bool = True,
        query_text: Optional[str] = None,
    ) -> list[Row]:
        """Projects a query with a multi-head or residual projection and returns the `top_k`
        nearest answers, best first: `answer_id`, `score`, which is the cosine, `routing_weights`,
        the weights of all heads by cluster, and the columns of the answer. The list is empty if
        the projection has no heads yet.

        With `log` and `query_text`, the query is logged. Raises ValueError as :meth:`search`
        does.
        """
        count = _count(top_k)
        row = self.get_multi_head_projection(mh_projection_id)
        if row is None:
            raise ValueError(f"Multi-head projection {mh_projection_id} not found")
        heads = self._rows(
            "SELECT * FROM cluster_heads WHERE mh_projection_id = ? ORDER BY cluster_id",
            (mh_projection_id,),
        )
        if not heads:
            return []
        # Changes of these columns don't change the model.
        ignored = ("num_heads", "recall_at_1", "mrr", "name")
        origin = [{key: row[key] for key in row if key not in ignored}, *heads]
        kind = self._engine_kind(mh_projection_id) or "multi_head"
        # NULL stands for the column's default.
        temperature = 1.0 if row["temperature"] is None else row["temperature"]
        model = self._model(kind, mh_projection_id, temperature, origin)
        embedding_model = self._embedding_model(row["model_id"])
        searcher = self._searcher(embedding_model["model_id"], embedding_model["name"])
        results = []
        if searcher is not None:
            results = self._found(searcher, model, query_embedding, count)
            _, weights = model.project(query_embedding, True)
            routing = dict(zip(model.head_ids.tolist(), weights.reshape(-1).tolist()))
            # Each row has its own dictionary, because callers may change it.
            results = [_after_score(found, routing_weights=dict(routing)) for found in results]
        if log and query_text:
            self._log_results(query_text, row["model_id"], mh_projection_id, results)
        return results

    def _found(
        self, searcher: Searcher, model: Model, query: ArrayLike, count: int
    ) -> list[Row]:
        """Returns the rows of the answers found. Answers that have been removed are left out."""
        vector = np.asarray(query)
        if vector.ndim == 2 and vector.shape[0] == 1:
            vector = vector[0]
        hits = searcher.search(vector, count, model=model)
        results = []
        with self._reading():
            for hit in hits:
                answer = self.get_answer(hit.answer_id)
                if answer is not None:
                    results.append({"answer_id": hit.answer_id, "score": hit.score, **answer})
        return results

    def _log_results(
        self, query_text: str, model_id: Optional[int], projection_id: int, results: list[Row]
    ) -> None:
        self._log(query_text, model_id, projection_id, [row["answer_id"] for row in results])

    def _model(
        self, kind: str, projection_id: int, temperature: Optional[float], origin: list[Row]
    ) -> Model:
        """Returns a projection of the store. `origin` are the rows that it is made of."""

        def now() -> Any:
            paths = ("W_path", "centroid_path", "answer_emb_path")
            return origin, [self._files.stamp(row.get(path)) for row in origin for path in paths]

        def open_it() -> Model:
            if self._files.engine_can_read:
                return Model.open(self._database, projection_id, kind=kind)
            if kind == "linear":
                # The folder may have heads with the same id.
                path = _call.path("db_path", self._database)
                with self._lock.engine():
                    return Model._take(stored(path, projection_id, kind, allow_outside_paths=True))
            folder = self._files.embeddings
            model = Model.load(folder, projection_id, temperature)
            if model.kind != kind:
                raise ValueError(
                    f"{folder}: projection {projection_id} is of kind {model.kind}, expected {kind}"
                )
            return model

        model: Model = self._cached((kind, projection_id), now, open_it)
        return model

    def _searcher(self, model_id: int, model_name: str) -> Optional[Searcher]:
        """Returns the answers that have a vector by an embedding model; None if there are none."""

        def now() -> Any:
            rows = self._rows(
                "SELECT e.entity_id, e.vector_path, e.created_at FROM embeddings e "
                "JOIN answers a ON a.answer_id = e.entity_id "
                "WHERE e.model_id = ? AND e.entity_type = 'answer' ORDER BY e.entity_id",
                (model_id,),
            )
            return [(*row.values(), self._files.stamp(row["vector_path"])) for row in rows]

        def open_it() -> Optional[Searcher]:
            if not now():
                return None
            if not self._files.engine_can_read:
                return Searcher.from_vectors(*self.get_all_answer_embeddings(model_id))
            return Searcher.open(self._database, model_name)

        searcher: Optional[Searcher] = self._cached(("searcher", model_id), now, open_it)
        return searcher

    def _cached(self, key: Any, now: Callable[[], Any], open_it: Callable[[], Any]) -> Any:
        """Returns the cached object for `key`. Opens it if there is none, or if its origin is no
        longer what `now` returns."""
        with self._opening:
            version = self._version()
            cached = self._cache.get(key)
            if cached is None or cached.version != version:
                origin = now()
                if cached is None or cached.origin != origin:
                    cached = _Cached(version, origin, open_it())
                self._cache[key] = cached = cached._replace(version=version)
            return cached.opened

    def _version(self) -> tuple[int, int]:
        """Returns one number that changes with changes by other connections, and one that changes
        with changes by this connection."""
        with self._reading():
            self.conn.commit()
            own = self.conn.total_changes - self._irrelevant_changes
            return int(self._value("PRAGMA data_version")), own


def _count(top_k: int) -> int:
    return _call.integer("top_k", top_k, 0, 2**31 - 1)


def _after_score(row: Row, **values: Any) -> Row:
    """Returns the row with further values after its id and score, the order that callers know."""
    return {"answer_id": row["answer_id"], "score": row["score"], **values, **row}
