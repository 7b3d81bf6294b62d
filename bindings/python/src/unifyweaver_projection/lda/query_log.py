"""The query log, and feedback of users."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from .connection import StoreConnection

if TYPE_CHECKING:
    from .connection import Row


class QueryLog(StoreConnection):
    """The table `query_log`."""

    def log_query(
        self,
        query_text: str,
        projection_id: Optional[int],
        results: Iterable[int],
        selected_id: Optional[int] = None,
        was_helpful: Optional[bool] = None,
    ) -> int:
        """Logs a query with the ids of the answers found, best first, and returns the row's id.
        The embedding model is that of the linear projection with the id, else that of the
        projection with heads."""
        model_id = self._value(
            "SELECT coalesce((SELECT input_model_id FROM projections WHERE projection_id = ?1), "
            "(SELECT model_id FROM multi_head_projections WHERE mh_projection_id = ?1))",
            (projection_id,),
        )
        return self._log(query_text, model_id, projection_id, results, selected_id, was_helpful)

    def _log(
        self,
        query_text: str,
        model_id: Optional[int],
        projection_id: Optional[int],
        results: Iterable[int],
        selected_id: Optional[int] = None,
        was_helpful: Optional[bool] = None,
    ) -> int:
        with self._writing():
            self._irrelevant_changes += 1
            return self._insert(
                "INSERT INTO query_log (query_text, model_id, projection_id, results, "
                "selected_answer_id, was_helpful) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    query_text,
                    model_id,
                    projection_id,
                    json.dumps([int(answer_id) for answer_id in results]),
                    selected_id,
                    was_helpful,
                ),
            )

    def get_query_log(self, limit: int = 100) -> list[Row]:
        """Returns at most `limit` queries, the newest first. `results` is a JSON list of ids."""
        return self._rows(
            "SELECT * FROM query_log ORDER BY created_at DESC, log_id DESC LIMIT ?", (limit,)
        )

    def update_query_feedback(
        self,
        log_id: int,
        selected_id: Optional[int] = None,
        was_helpful: Optional[bool] = None,
    ) -> None:
        """Stores a user's feedback on a logged query: which answer was right, and whether the
        answers helped. None leaves a column as it is. As for :meth:`log_query`, the answer need not
        exist. If the query does not, nothing is stored, and a warning says so."""
        with self._writing():
            self._irrelevant_changes += 1
            changed = self._execute(
                "UPDATE query_log SET selected_answer_id = coalesce(?, selected_answer_id), "
                "was_helpful = coalesce(?, was_helpful) WHERE log_id = ?",
                (selected_id, was_helpful, log_id),
            )
        if not changed:
            warnings.warn(f"no logged query {log_id}: its feedback is not stored", stacklevel=2)
