"""Questions, and the clusters that connect them to answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from .connection import StoreConnection

if TYPE_CHECKING:
    from .connection import Row


class Clusters(StoreConnection):
    """The tables `questions`, `qa_clusters`, `cluster_answers` and `cluster_questions`."""

    def add_question(self, text: str, length_type: str = "medium") -> int:
        """Adds a question and returns its id. `length_type` is short, medium or long; the
        database refuses others."""
        with self._writing():
            return self._insert(
                "INSERT INTO questions (text, length_type) VALUES (?, ?)", (text, length_type)
            )

    def get_question(self, question_id: int) -> Optional[Row]:
        """Returns the question with an id; None if there is none."""
        return self._row("SELECT * FROM questions WHERE question_id = ?", (question_id,))

    def create_cluster(
        self,
        name: str,
        answer_ids: Iterable[int],
        question_ids: Iterable[int],
        description: Optional[str] = None,
    ) -> int:
        """Creates a cluster of answers and the questions that they answer, and returns its id."""
        answers, questions = list(answer_ids), list(question_ids)
        with self._writing():
            self._expect("answers", "answer_id", answers, "Answer")
            self._expect("questions", "question_id", questions, "Question")
            cluster_id = self._insert(
                "INSERT INTO qa_clusters (name, description) VALUES (?, ?)", (name, description)
            )
            for answer_id in answers:
                self._execute("INSERT INTO cluster_answers VALUES (?, ?)", (cluster_id, answer_id))
            for question_id in questions:
                self._execute(
                    "INSERT INTO cluster_questions VALUES (?, ?)", (cluster_id, question_id)
                )
            return cluster_id

    def get_cluster(self, cluster_id: int) -> Optional[Row]:
        """Returns the cluster with an id, with the rows of its `answers` and `questions`; None if
        there is none."""
        with self._reading():
            cluster = self._row("SELECT * FROM qa_clusters WHERE cluster_id = ?", (cluster_id,))
            if cluster is None:
                return None
            cluster["answers"] = self._rows(
                "SELECT a.* FROM answers a JOIN cluster_answers USING (answer_id) "
                "WHERE cluster_id = ? ORDER BY answer_id",
                (cluster_id,),
            )
            cluster["questions"] = self._rows(
                "SELECT q.* FROM questions q JOIN cluster_questions USING (question_id) "
                "WHERE cluster_id = ? ORDER BY question_id",
                (cluster_id,),
            )
            return cluster

    def list_clusters(self) -> list[Row]:
        """Returns all clusters, without their answers and questions."""
        return self._rows("SELECT * FROM qa_clusters ORDER BY cluster_id")

    def get_questions_for_answer(self, answer_id: int) -> list[Row]:
        """Returns the questions of an answer's clusters, with `cluster_id` and `cluster_name`."""
        return self._rows(
            "SELECT q.*, c.cluster_id, c.name AS cluster_name FROM cluster_answers a "
            "JOIN qa_clusters c USING (cluster_id) JOIN cluster_questions USING (cluster_id) "
            "JOIN questions q USING (question_id) WHERE a.answer_id = ? "
            "ORDER BY q.length_type, q.question_id",
            (answer_id,),
        )
