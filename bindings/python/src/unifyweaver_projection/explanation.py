"""Explanations of projections and searches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from . import _tables


@dataclass(frozen=True)
class ExplainedQuestion:
    """A training question near the query."""

    #: The question's cluster, and its row among the model's questions of that cluster.
    cluster_id: int
    row: int
    #: Its cosine with the query.
    similarity: float
    #: Its weight; all weights sum to 1.
    weight: float
    #: Its text; None if there is no store, or if the store no longer has the question.
    text: Optional[str]


@dataclass(frozen=True)
class ExplainedHit:
    """An answer found by a search, with the parts of its score."""

    answer_id: int
    #: Rank from 1, and rank by plain cosine, which is None if query and answers differ in
    #: dimension.
    rank: int
    rank_before: Optional[int]
    #: Score, and score by plain cosine.
    score: float
    score_before: Optional[float]
    #: Cosine of the (projected) query and the answer.
    cosine: float
    #: Cosine of the query and the nearest training question of the answer's cluster; None if the
    #: score does not use it, or if there is no question.
    nearest_question: Optional[float]
    #: BM25; None if the score does not use it.
    bm25: Optional[float]
    #: Whether the answer has training questions; None if the model has no heads.
    seen: Optional[bool]
    #: The answer's text; None if it has none.
    text: Optional[str]


@dataclass(frozen=True)
class Explanation(_tables.Report):
    """What moved a query, how far, and how the answers' ranks changed."""

    #: Angle between the query and the projected query in degrees; None without a model, and if
    #: the two differ in dimension.
    angle: Optional[float]
    #: Weight of BM25 in the scores; 0 if the search was not hybrid.
    hybrid_weight: float
    #: The routing weights by cluster; empty for models without heads.
    weights: dict[int, float]
    #: Whether the training questions move the query; if not, they only determine the weights.
    questions_move: bool
    #: The training questions behind the weights of a residual model, the largest weight first.
    questions: list[ExplainedQuestion] = field(default_factory=list)
    #: The answers that the search found, best first; empty without a search.
    hits: list[ExplainedHit] = field(default_factory=list)

    def _head(self) -> str:
        return "" if self.angle is None else f"moved by {self.angle:.1f}°"

    def _tables(self) -> list[_tables.Table]:
        tables = []
        if self.questions:
            rows = [
                [f"{100 * q.weight:.2f} %", f"{q.similarity:.4f}", str(q.cluster_id), q.text or ""]
                for q in self.questions[:5]
            ]
            tables.append(_tables.Table("", ["weight", "cosine", "cluster", "question"], rows))
        elif self.weights:
            best = sorted(self.weights.items(), key=lambda item: -item[1])[:5]
            heads = [[f"{100 * weight:.2f} %", str(cluster)] for cluster, weight in best]
            tables.append(_tables.Table("", ["weight", "cluster"], heads))
        if self.hits:
            found = [
                [
                    str(hit.rank),
                    f"{hit.score:.4f}",
                    "-" if hit.rank_before is None else str(hit.rank_before),
                    str(hit.answer_id),
                    hit.text or "",
                ]
                for hit in self.hits
            ]
            header = ["rank", "score", "rank by cosine", "answer", "text"]
            tables.append(_tables.Table("", header, found))
        return tables


def from_report(report: dict[str, Any]) -> Explanation:
    """Converts a report of the library."""
    questions = report["questions"]
    for question in questions:
        del question["question_id"]
    return Explanation(
        angle=report["angle"],
        hybrid_weight=float(report["hybrid_weight"]),
        weights={head["cluster_id"]: head["weight"] for head in report["heads"]},
        questions_move=report["questions_move"],
        questions=[ExplainedQuestion(**question) for question in questions],
        hits=[ExplainedHit(**hit) for hit in report["hits"]],
    )
