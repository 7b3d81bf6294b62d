"""Search through projections, by the engine.

Models and answers are kept in memory from one search to the next. They are opened anew when
the rows or files that they come from have changed, by whatever program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

from .. import _call
from ..model import Model
from ..searcher import Searcher
from .answers import Answers
from .embeddings import Embeddings
from .multi_head import MultiHead
from .query_log import QueryLog

if TYPE_CHECKING:
    from .._arrays import ArrayLike
    from .._call import StrPath
    from .connection import Row


class _Kept(NamedTuple):
    """Something that was opened, and how the store was then."""

    #: The version of the database, which most changes have no bearing on.
    version: Any
    #: The rows and the state of the files that it was made of.
    origin: Any
    opened: Any


class Search(Answers, Embeddings, MultiHead, QueryLog):
    """Search by an embedded query."""

    def __init__(self, db_path: StrPath, embeddings_dir: Optional[StrPath] = None) -> None:
        super().__init__(db_path, embeddings_dir)
        self._kept: dict[Any, _Kept] = {}
        # One thread opens something while the others wait for it. Held before the store's
        # lock, never within it.
        self._opening = threading.Lock()

    def close(self) -> None:
        """Closes the database and lets go of what searches kept. Closing twice does nothing."""
        super().close()
        self._kept.clear()

    def search(
        self,
        query_embedding: ArrayLike,
        projection_id: int,
        top_k: int = 5,
        log: bool = True,
        query_text: Optional[str] = None,
    ) -> list[Row]:
        """The `top_k` answers nearest to a query once a linear projection has projected it,
        best first: `answer_id`, `score`, which is the cosine, and the columns of the answer.

        With `log` and `query_text`, the query goes into the log. Raises ValueError where
        there is no such projection, and where the query is unusable: of another dimension
        than the projection, with NaN or infinity, or zero.
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
        """:meth:`search` by a query in words. `embedder` has a method `encode`, as those of
        sentence-transformers do, or `embed`, or is a function from text to vector."""
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
        """The `top_k` answers nearest to a query once a projection with heads, multi-head or
        residual, has projected it, best first: `answer_id`, `score`, which is the cosine,
        `routing_weights`, from the cluster of every head to its weight, and the columns of
        the answer. None for a projection that has no heads yet.

        With `log` and `query_text`, the query goes into the log. Raises ValueError as
        :meth:`search` does.
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
        # Numbers that were measured of a model don't change it.
        measured = ("num_heads", "recall_at_1", "mrr", "name")
        origin = [{key: row[key] for key in row if key not in measured}, *heads]
        kind = self._engine_kind(mh_projection_id) or "multi_head"
        # What the database has no temperature for has the column's default.
        temperature = 1.0 if row["temperature"] is None else row["temperature"]
        model = self._model(kind, mh_projection_id, temperature, origin)
        text_model = self._text_model(row["model_id"])
        searcher = self._searcher(text_model["model_id"], text_model["name"])
        results = []
        if searcher is not None:
            results = self._found(searcher, model, query_embedding, count)
            _, weights = model.project(query_embedding, True)
            routing = dict(zip(model.head_ids.tolist(), weights.reshape(-1).tolist()))
            # The rows share no dictionary: callers may change theirs.
            results = [_after_score(found, routing_weights=dict(routing)) for found in results]
        if log and query_text:
            self._log_results(query_text, row["model_id"], mh_projection_id, results)
        return results

    def _found(
        self, searcher: Searcher, model: Model, query: ArrayLike, count: int
    ) -> list[Row]:
        """The rows of the answers found. Answers that were removed meanwhile are left out."""
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
        """A projection of the store; `origin` are the rows that it is made of."""

        def now() -> Any:
            paths = ("W_path", "centroid_path", "answer_emb_path")
            return origin, [self._places.stamp(row.get(path)) for row in origin for path in paths]

        def open_it() -> Model:
            if self._places.engine_finds:
                with self._lock.engine():
                    return Model.open(self._database, projection_id, kind=kind)
            model = Model.load(self._places.embeddings, projection_id, temperature)
            if model.kind != kind:
                raise ValueError(
                    f"{self._places.embeddings}: projection {projection_id} is of kind "
                    f"{model.kind}, expected {kind}"
                )
            return model

        model: Model = self._keep((kind, projection_id), now, open_it)
        return model

    def _searcher(self, model_id: int, model_name: str) -> Optional[Searcher]:
        """The answers that have a vector by a text model; None where there are none."""

        def now() -> Any:
            rows = self._rows(
                "SELECT e.entity_id, e.vector_path, e.created_at FROM embeddings e "
                "JOIN answers a ON a.answer_id = e.entity_id "
                "WHERE e.model_id = ? AND e.entity_type = 'answer' ORDER BY e.entity_id",
                (model_id,),
            )
            return [(*row.values(), self._places.stamp(row["vector_path"])) for row in rows]

        def open_it() -> Optional[Searcher]:
            if not now():
                return None
            if not self._places.engine_finds:
                return Searcher.from_vectors(*self.get_all_answer_embeddings(model_id))
            with self._lock.engine():
                return Searcher.open(self._database, model_name)

        searcher: Optional[Searcher] = self._keep(("searcher", model_id), now, open_it)
        return searcher

    def _keep(self, key: Any, now: Callable[[], Any], open_it: Callable[[], Any]) -> Any:
        """What is kept for `key`, opened where it is not, or where its origin is not what
        `now` gives."""
        with self._opening:
            version = self._version()
            kept = self._kept.get(key)
            if kept is None or kept.version != version:
                origin = now()
                if kept is None or kept.origin != origin:
                    kept = _Kept(version, origin, open_it())
                self._kept[key] = kept = kept._replace(version=version)
            return kept.opened

    def _version(self) -> tuple[int, int]:
        """A number that other connections' changes make another, and one that those of this
        connection do."""
        with self._reading():
            self.conn.commit()
            own = self.conn.total_changes - self._irrelevant_changes
            return int(self._value("PRAGMA data_version")), own


def _count(top_k: int) -> int:
    return _call.integer("top_k", top_k, 0, 2**31 - 1)


def _after_score(row: Row, **values: Any) -> Row:
    """The row with further values after its id and score, as callers know the order."""
    return {"answer_id": row["answer_id"], "score": row["score"], **values, **row}
