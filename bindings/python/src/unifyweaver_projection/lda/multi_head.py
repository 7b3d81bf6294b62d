"""Multi-head projections: one head per cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from . import files, store_files
from .projections import Projections

if TYPE_CHECKING:
    import numpy.typing as npt

    from .._arrays import ArrayLike
    from .connection import Row

_PATHS = ("centroid_path", "answer_emb_path", "W_path")


class MultiHead(Projections):
    """The tables `multi_head_projections` and `cluster_heads`, and the heads' files."""

    def create_multi_head_projection(
        self, model_id: int, name: Optional[str] = None, temperature: float = 1.0
    ) -> int:
        """Creates a projection without heads for the vectors of an embedding model, and returns
        its id. Ids of projections with heads and of linear ones are counted apart. `temperature` is
        that of the routing."""
        if not (temperature > 0 and np.isfinite(temperature)):
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        with self._writing():
            self._embedding_model(model_id)
            new_id = self._new_id("multi_head_projections", "mh_projection_id", "mh_{}_".format)
            return self._insert(
                "INSERT INTO multi_head_projections (mh_projection_id, model_id, name, "
                "temperature, num_heads) VALUES (?, ?, ?, ?, 0)",
                (new_id, model_id, name, float(temperature)),
            )

    def add_cluster_head(
        self,
        mh_projection_id: int,
        cluster_id: int,
        centroid: ArrayLike,
        answer_emb: ArrayLike,
        W: Optional[ArrayLike] = None,
        num_questions: Optional[int] = None,
    ) -> int:
        """Adds the head of a cluster and returns its id. `centroid` is the mean of the cluster's
        questions and `answer_emb` its answer; with a matrix `W`, the head's term is W q instead
        of the answer.

        Raises sqlite3.IntegrityError if the cluster has a head already, and ValueError if the
        projection or cluster does not exist or an array is unusable.
        """
        with self._staged_files() as staged, self._writing():
            projection = self._expect_multi_head(mh_projection_id)
            self._expect("qa_clusters", "cluster_id", [cluster_id], "Cluster")
            model = self._embedding_model(projection["model_id"])
            dimension, folder = model["dimension"], self._files.folder(model["name"])
            arrays = {
                "centroid": files.checked_vector("centroid", centroid, dimension),
                "answer": files.checked_vector("answer_emb", answer_emb, dimension),
            }
            if W is not None:
                arrays["W"] = files.checked_matrix("W", W, (dimension, dimension))
            numbers = int(mh_projection_id), int(cluster_id)
            prefix = f"mh_{numbers[0]}_"
            if not projection["num_heads"] and store_files.has_files_of(
                self._files.embeddings, prefix
            ):
                # Two databases may share the folder.
                raise ValueError(
                    f"{self._files.embeddings} has files of a projection {numbers[0]} that is not "
                    f"this store's; create another projection"
                )
            paths = {}
            for part, values in arrays.items():
                path = os.path.join(folder, store_files.head_name(*numbers, part))
                staged.add(path, values)
                paths[part] = self._files.path_in_database(path)
            head_id = self._insert(
                "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, "
                "answer_emb_path, W_path, num_questions) VALUES (?, ?, ?, ?, ?, ?)",
                (*numbers, paths["centroid"], paths["answer"], paths.get("W"), num_questions),
            )
            self._execute(
                "UPDATE multi_head_projections SET num_heads = (SELECT count(*) FROM "
                "cluster_heads h WHERE h.mh_projection_id = ?1) WHERE mh_projection_id = ?1",
                (mh_projection_id,),
            )
            staged.publish()
        return head_id

    def _expect_multi_head(self, mh_projection_id: int) -> Row:
        """Returns the row of a projection. Raises ValueError if heads can't be added to it."""
        row = self.get_multi_head_projection(mh_projection_id)
        if row is None:
            raise ValueError(f"Multi-head projection {mh_projection_id} not found")
        kind = self._engine_kind(mh_projection_id)
        if kind not in (None, "multi_head"):
            raise ValueError(
                f"projection {mh_projection_id} is of kind {kind}, expected multi_head: heads "
                f"can't be added to it"
            )
        return row

    def _engine_kind(self, mh_projection_id: int) -> Optional[str]:
        """Returns the kind in the engine's own table. None means that the table does not have the
        projection, which then is a multi-head one."""
        if self._value("SELECT 1 FROM sqlite_master WHERE name = 'engine_models'") is None:
            return None
        kind: Optional[str] = self._value(
            "SELECT kind FROM engine_models WHERE mh_projection_id = ?", (mh_projection_id,)
        )
        return kind

    def get_multi_head_projection(self, mh_projection_id: int) -> Optional[Row]:
        """Returns the row of a projection with heads; None if there is none."""
        return self._row(
            "SELECT * FROM multi_head_projections WHERE mh_projection_id = ?", (mh_projection_id,)
        )

    def get_cluster_heads(self, mh_projection_id: int) -> list[Row]:
        """Returns the heads of a projection by ascending cluster, with `cluster_name`. The paths
        can be opened."""
        rows = self._rows(
            "SELECT h.*, c.name AS cluster_name, coalesce(m.name, '') AS model_name "
            "FROM cluster_heads h LEFT JOIN qa_clusters c USING (cluster_id) "
            "LEFT JOIN multi_head_projections p USING (mh_projection_id) "
            "LEFT JOIN embedding_models m USING (model_id) "
            "WHERE h.mh_projection_id = ? ORDER BY h.cluster_id",
            (mh_projection_id,),
        )
        for row in rows:
            model_name = row.pop("model_name")
            for column in _PATHS:
                row[column] = self._files.resolve_if_found(row[column], model_name)
        return rows

    def load_multi_head_data(
        self, mh_projection_id: int
    ) -> tuple[
        npt.NDArray[Any], npt.NDArray[Any], list[int], Optional[list[Optional[npt.NDArray[Any]]]]
    ]:
        """Returns the arrays of all heads by ascending cluster, with their stored dtypes:
        centroids (n, d), answers (n, d), the clusters' ids, and a list of matrices. A head without
        a matrix has None in the list; if no head has one, None replaces the list. All are empty
        if there are no heads."""
        heads = self.get_cluster_heads(mh_projection_id)
        if not heads:
            return np.array([]), np.array([]), [], None
        resolve = self._files.resolve
        centroids = [files.load_vector(resolve(row["centroid_path"])) for row in heads]
        answers = [files.load_vector(resolve(row["answer_emb_path"])) for row in heads]
        matrices = [files.load(resolve(row["W_path"])) if row["W_path"] else None for row in heads]
        ids = [row["cluster_id"] for row in heads]
        has_matrix = any(matrix is not None for matrix in matrices)
        return np.stack(centroids), np.stack(answers), ids, matrices if has_matrix else None

    def update_multi_head_metrics(
        self,
        mh_projection_id: int,
        recall_at_1: Optional[float] = None,
        mrr: Optional[float] = None,
    ) -> None:
        """Stores metrics of a projection. A metric that is None stays as it is."""
        with self._writing():
            if self.get_multi_head_projection(mh_projection_id) is None:
                raise ValueError(f"Multi-head projection {mh_projection_id} not found")
            self._execute(
                "UPDATE multi_head_projections SET recall_at_1 = coalesce(?, recall_at_1), "
                "mrr = coalesce(?, mrr) WHERE mh_projection_id = ?",
                (recall_at_1, mrr, mh_projection_id),
            )
