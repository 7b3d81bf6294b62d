"""Linear projections, which are one matrix each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional

from . import files, store_files
from .connection import StoreConnection

if TYPE_CHECKING:
    import numpy.typing as npt

    from .._arrays import ArrayLike
    from .connection import Row

_SELECT = (
    "SELECT p.*, i.name AS input_model_name, o.name AS output_model_name FROM projections p "
    "LEFT JOIN embedding_models i ON i.model_id = p.input_model_id "
    "LEFT JOIN embedding_models o ON o.model_id = p.output_model_id "
)


class Projections(StoreConnection):
    """The tables `projections` and `projection_clusters`, and the matrices' files."""

    def store_projection(
        self,
        input_model_id: int,
        output_model_id: int,
        W: ArrayLike,
        name: Optional[str] = None,
        cluster_ids: Optional[Iterable[int]] = None,
        lambda_reg: Optional[float] = None,
        ridge: Optional[float] = None,
        metrics: Optional[Mapping[str, Any]] = None,
    ) -> int:
        """Stores the matrix W of a linear projection, which is applied as W q, and returns the
        projection's id.

        W has the shape (dimension of the answers' embedding model, dimension of the queries').
        `cluster_ids` are the clusters that it was trained on. Of `metrics`, num_clusters,
        total_queries, recall_at_1 and mrr are stored.
        """
        clusters = list(cluster_ids or ())
        measured = dict(metrics or {})
        with self._staged_files() as staged, self._writing():
            queries = self._embedding_model(input_model_id)
            answers = self._embedding_model(output_model_id)
            self._expect("qa_clusters", "cluster_id", clusters, "Cluster")
            matrix = files.checked_matrix("W", W, (answers["dimension"], queries["dimension"]))
            projection_id = self._new_id("projections", "projection_id", store_files.linear_name)
            folder = self._files.folder(answers["name"])
            path = os.path.join(folder, store_files.linear_name(projection_id))
            staged.add(path, matrix)
            self._insert(
                "INSERT INTO projections (projection_id, input_model_id, output_model_id, name, "
                "W_path, lambda_reg, ridge, num_clusters, num_queries, recall_at_1, mrr) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    projection_id,
                    input_model_id,
                    output_model_id,
                    name,
                    self._files.path_in_database(path),
                    lambda_reg,
                    ridge,
                    measured.get("num_clusters", len(clusters) or None),
                    measured.get("total_queries"),
                    measured.get("recall_at_1"),
                    measured.get("mrr"),
                ),
            )
            for cluster_id in clusters:
                self._execute(
                    "INSERT INTO projection_clusters VALUES (?, ?)", (projection_id, cluster_id)
                )
            staged.publish()
        return projection_id

    def _new_id(self, table: str, column: str, file_name: Callable[[int], str]) -> int:
        """Returns an id that no row of a table of projections has, and that no files have: they
        may belong to another store. `file_name` is how the names of an id's files begin."""
        number: int = 1 + self._value(f"SELECT coalesce(max({column}), 0) FROM {table}")
        while store_files.has_files_of(self._files.embeddings, file_name(number)):
            number += 1
        return number

    def get_projection(self, projection_id: int) -> Optional[tuple[npt.NDArray[Any], Row]]:
        """Returns the matrix of a linear projection and its row; None if there is none."""
        row = self._projection_row(projection_id)
        if row is None:
            return None
        model_name = row.pop("output_model_name") or ""
        del row["input_model_name"]
        matrix: npt.NDArray[Any] = files.load(self._files.resolve(row["W_path"], model_name))
        row["W_path"] = self._files.resolve_if_found(row["W_path"], model_name)
        return matrix, row

    def _projection_row(self, projection_id: int) -> Optional[Row]:
        return self._row(_SELECT + "WHERE p.projection_id = ?", (projection_id,))

    def list_projections(
        self, input_model: Optional[str] = None, output_model: Optional[str] = None
    ) -> list[Row]:
        """Returns all linear projections, or those from `input_model` to `output_model`, names of
        embedding models. Rows have `input_model_name` and `output_model_name`."""
        rows = self._rows(
            _SELECT + "WHERE (?1 IS NULL OR i.name = ?1) AND (?2 IS NULL OR o.name = ?2) "
            "ORDER BY p.projection_id",
            (input_model or None, output_model or None),
        )
        for row in rows:
            model_name = row["output_model_name"] or ""
            row["W_path"] = self._files.resolve_if_found(row["W_path"], model_name)
        return rows
