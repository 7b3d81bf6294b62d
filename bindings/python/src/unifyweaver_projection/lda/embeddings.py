"""Embedding models, and the vectors of answers and questions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ..errors import DimensionMismatchError
from . import files, store_files
from .clusters import Clusters

if TYPE_CHECKING:
    import numpy.typing as npt

    from .._arrays import ArrayLike
    from .connection import Row

_ENTITIES = {"answer": ("answers", "answer_id"), "question": ("questions", "question_id")}


class Embeddings(Clusters):
    """The tables `embedding_models` and `embeddings`, and the vectors' files."""

    def add_model(
        self,
        name: str,
        dimension: int,
        backend: Optional[str] = None,
        max_tokens: Optional[int] = None,
        notes: Optional[str] = None,
    ) -> int:
        """Registers an embedding model and returns its id. If a model of that name is registered
        already, returns its id.

        Raises ValueError if it is registered with another dimension.
        """
        if dimension < 1:
            raise ValueError(f"dimension is {dimension}, expected at least 1")
        with self._writing():
            known = self.get_model(name)
            if known is None:
                return self._insert(
                    "INSERT INTO embedding_models (name, dimension, backend, max_tokens, notes) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (name, dimension, backend, max_tokens, notes),
                )
            if known["dimension"] != dimension:
                raise DimensionMismatchError(
                    f"the embedding model '{name}' is registered with dimension "
                    f"{known['dimension']}, not {dimension}"
                )
            return int(known["model_id"])

    def get_model(self, name: str) -> Optional[Row]:
        """Returns the embedding model called `name`; None if there is none."""
        return self._row("SELECT * FROM embedding_models WHERE name = ?", (name,))

    def get_model_by_id(self, model_id: int) -> Optional[Row]:
        """Returns the embedding model with an id; None if there is none."""
        return self._row("SELECT * FROM embedding_models WHERE model_id = ?", (model_id,))

    def store_embedding(
        self, model_id: int, entity_type: str, entity_id: int, vector: ArrayLike
    ) -> int:
        """Stores the vector of an answer or question and returns the row's id. An existing vector
        by the same embedding model is replaced.

        Raises ValueError if the embedding model, answer or question does not exist, and if the
        vector has another dimension, is zero, or holds NaN or infinity.
        """
        return self._store_embeddings(model_id, entity_type, [(entity_id, vector)])[0]

    def embed_and_store_batch(
        self, model_id: int, entity_type: str, items: Iterable[tuple[int, ArrayLike]]
    ) -> int:
        """Stores the vectors of pairs of id and vector as :meth:`store_embedding` does, and
        returns their number. After an exception, none are stored."""
        return len(self._store_embeddings(model_id, entity_type, list(items)))

    def _store_embeddings(
        self, model_id: int, entity_type: str, items: list[tuple[int, ArrayLike]]
    ) -> list[int]:
        # Checked first, because it becomes a part of file names.
        if entity_type not in _ENTITIES:
            raise ValueError(f"entity_type is {entity_type!r}, expected 'answer' or 'question'")
        table, column = _ENTITIES[entity_type]
        ids, replaced = [], []
        with self._staged_files() as staged, self._writing():
            model = self._embedding_model(model_id)
            folder = self._files.folder(model["name"])
            # No other database in the folder has files of these names.
            unique = os.urandom(8).hex()
            for entity_id, vector in items:
                self._expect(table, column, [entity_id], entity_type.capitalize())
                number = int(entity_id)
                name = f"the vector of {entity_type} {number}"
                checked = files.checked_vector(name, vector, model["dimension"])
                file = store_files.embedding_name(entity_type, number, model["model_id"])
                path = os.path.join(folder, f"{file[:-4]}_{unique}.npy")
                staged.add(path, checked)
                row_id, earlier = self._set_vector_path(
                    model["model_id"], entity_type, number, self._files.path_in_database(path)
                )
                ids.append(row_id)
                if earlier is not None:
                    replaced.append((earlier, path))
            staged.publish()
        # Another database may name the replaced files, such as a copy of this one.
        if replaced and not self._files.may_have_neighbours():
            for earlier, path in replaced:
                self._remove_replaced(earlier, path, model["name"])
        return ids

    def _set_vector_path(
        self, model_id: int, entity_type: str, entity_id: int, vector_path: str
    ) -> tuple[int, Optional[str]]:
        """Inserts or updates a row. Returns its id and its earlier path, if there was a row."""
        known = self._row(
            "SELECT embedding_id, vector_path FROM embeddings WHERE model_id = ? AND "
            "entity_type = ? AND entity_id = ?",
            (model_id, entity_type, entity_id),
        )
        if known is None:
            row_id = self._insert(
                "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) "
                "VALUES (?, ?, ?, ?)",
                (model_id, entity_type, entity_id, vector_path),
            )
            return row_id, None
        self._execute(
            "UPDATE embeddings SET vector_path = ?, created_at = CURRENT_TIMESTAMP "
            "WHERE embedding_id = ?",
            (vector_path, known["embedding_id"]),
        )
        return known["embedding_id"], known["vector_path"]

    def _remove_replaced(self, earlier: str, path: str, model_name: str) -> None:
        """Removes the file of a vector that the file `path` replaced, unless it is the same file
        or another row uses it."""
        try:
            old = self._files.resolve(earlier, model_name)
            used = self._value("SELECT 1 FROM embeddings WHERE vector_path = ?", (earlier,))
            if used is None and not os.path.samefile(old, path):
                os.remove(old)
        except (OSError, ValueError):
            pass  # An unused file does no harm.

    def get_embedding(
        self, model_id: int, entity_type: str, entity_id: int
    ) -> Optional[npt.NDArray[Any]]:
        """Returns the vector of an answer or question with its stored dtype; None if it has none
        by this embedding model."""
        row = self._row(
            "SELECT vector_path, coalesce(m.name, '') AS model_name FROM embeddings "
            "LEFT JOIN embedding_models m USING (model_id) "
            "WHERE model_id = ? AND entity_type = ? AND entity_id = ?",
            (model_id, entity_type, entity_id),
        )
        if row is None:
            return None
        return self._load_vector(row["vector_path"], row["model_name"])

    def get_all_answer_embeddings(self, model_id: int) -> tuple[list[int], npt.NDArray[Any]]:
        """Returns the ids of all answers that have a vector by an embedding model, in ascending
        order, and the vectors as the rows of a matrix; an empty list and array if there are
        none."""
        rows = self._rows(
            "SELECT entity_id, vector_path, coalesce(m.name, '') AS model_name FROM embeddings "
            "LEFT JOIN embedding_models m USING (model_id) "
            "WHERE model_id = ? AND entity_type = 'answer' ORDER BY entity_id",
            (model_id,),
        )
        if not rows:
            return [], np.array([])
        vectors = [self._load_vector(row["vector_path"], row["model_name"]) for row in rows]
        return [row["entity_id"] for row in rows], np.stack(vectors)

    def get_cluster_embeddings(
        self, cluster_id: int, model_id: int
    ) -> tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]]:
        """Returns the vectors by an embedding model of a cluster's answers and of its questions.
        Texts without a vector are left out; an unknown cluster has two empty lists."""
        cluster = self.get_cluster(cluster_id) or {"answers": [], "questions": []}
        answers = [
            self.get_embedding(model_id, "answer", row["answer_id"]) for row in cluster["answers"]
        ]
        questions = [
            self.get_embedding(model_id, "question", row["question_id"])
            for row in cluster["questions"]
        ]
        return (
            [vector for vector in answers if vector is not None],
            [vector for vector in questions if vector is not None],
        )

    def _load_vector(self, vector_path: str, model_name: str) -> npt.NDArray[Any]:
        vector: npt.NDArray[Any] = files.load_vector(self._files.resolve(vector_path, model_name))
        return vector
