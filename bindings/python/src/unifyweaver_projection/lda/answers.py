"""Answers and the relations between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from .connection import StoreConnection

if TYPE_CHECKING:
    from .connection import Row

#: Relations that lead from a part or a short form to the full version.
_TO_FULL_VERSION = ("chunk_of", "summarizes", "abbreviates")

#: The other end of a relation, for each direction.
_OTHER_END = {"from": "to", "to": "from"}


class Answers(StoreConnection):
    """The tables `answers` and `answer_relations`."""

    def add_answer(
        self,
        source_file: str,
        text: str,
        record_id: Optional[str] = None,
        text_variant: str = "default",
        parent_id: Optional[int] = None,
        chunk_index: Optional[int] = None,
    ) -> int:
        """Adds an answer and returns its id. `parent_id` is the answer that it is a part of."""
        with self._writing():
            if parent_id is not None:
                self._expect("answers", "answer_id", [parent_id], "Answer")
            return self._insert(
                "INSERT INTO answers (source_file, text, record_id, text_variant, parent_id, "
                "chunk_index) VALUES (?, ?, ?, ?, ?, ?)",
                (source_file, text, record_id, text_variant, parent_id, chunk_index),
            )

    def get_answer(self, answer_id: int) -> Optional[Row]:
        """Returns the answer with an id; None if there is none."""
        return self._row("SELECT * FROM answers WHERE answer_id = ?", (answer_id,))

    def find_answers(
        self, source_file: Optional[str] = None, record_id: Optional[str] = None
    ) -> list[Row]:
        """Returns the answers of a source file, of a record, or of both; all if both are None."""
        wanted = {"source_file": source_file, "record_id": record_id}
        given = {column: value for column, value in wanted.items() if value}
        where = " AND ".join(f"{column} = ?" for column in given) or "1"
        return self._rows(
            f"SELECT * FROM answers WHERE {where} ORDER BY answer_id", list(given.values())
        )

    def search_answers(self, text_pattern: str) -> list[Row]:
        """Returns the answers whose text or record id is LIKE an SQL pattern, with `cluster_id`
        and `cluster_name`. An answer in several clusters is returned once for each."""
        return self._rows(
            "SELECT a.*, c.name AS cluster_name, c.cluster_id FROM answers a "
            "LEFT JOIN cluster_answers m ON m.answer_id = a.answer_id "
            "LEFT JOIN qa_clusters c ON c.cluster_id = m.cluster_id "
            "WHERE a.text LIKE ?1 OR a.record_id LIKE ?1 ORDER BY a.answer_id, c.cluster_id",
            (text_pattern,),
        )

    def add_relation(
        self,
        from_id: int,
        to_id: int,
        relation_type: str,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> int:
        """Relates two answers and returns the relation's id. If the relation exists, its metadata
        is replaced.

        Types in use: chunk_of, next_chunk, prev_chunk, summarizes, abbreviates, variant_of,
        translates.
        """
        stored = json.dumps(dict(metadata)) if metadata else None
        with self._writing():
            self._expect("answers", "answer_id", [from_id, to_id], "Answer")
            ends = (from_id, to_id, relation_type)
            known = self._value(
                "SELECT relation_id FROM answer_relations WHERE from_answer_id = ? AND "
                "to_answer_id = ? AND relation_type = ?",
                ends,
            )
            if known is None:
                return self._insert(
                    "INSERT INTO answer_relations (from_answer_id, to_answer_id, "
                    "relation_type, metadata) VALUES (?, ?, ?, ?)",
                    (*ends, stored),
                )
            self._execute(
                "UPDATE answer_relations SET metadata = ? WHERE relation_id = ?", (stored, known)
            )
            return int(known)

    def get_related(
        self, answer_id: int, relation_type: Optional[str] = None, direction: str = "from"
    ) -> list[Row]:
        """Returns the answers that relations from this answer lead to (`direction` "from"), or
        the answers whose relations lead to this one ("to"). A row has the columns of the
        relation, whose `metadata` is JSON, and of the other answer."""
        if direction not in _OTHER_END:
            raise ValueError(f"direction is {direction!r}, expected 'from' or 'to'")
        here, there = f"{direction}_answer_id", f"{_OTHER_END[direction]}_answer_id"
        return self._rows(
            f"SELECT r.*, a.* FROM answer_relations r JOIN answers a ON a.answer_id = r.{there} "
            f"WHERE r.{here} = ?1 AND (?2 IS NULL OR r.relation_type = ?2) "
            f"ORDER BY r.relation_id",
            (answer_id, relation_type or None),
        )

    def get_full_version(self, answer_id: int) -> Optional[Row]:
        """Returns the answer at the end of chunk_of, summarizes and abbreviates relations. It is
        this answer if there are no relations, and None if this answer does not exist."""
        seen = {answer_id}
        while True:
            onward = [
                row["answer_id"]
                for row in self.get_related(answer_id)
                if row["relation_type"] in _TO_FULL_VERSION and row["answer_id"] not in seen
            ]
            if not onward:
                return self.get_answer(answer_id)
            answer_id = onward[0]
            seen.add(answer_id)

    def get_variants(self, answer_id: int) -> list[Row]:
        """Returns the other wordings of an answer, by variant_of in either direction."""
        return self.get_related(answer_id, "variant_of", "from") + self.get_related(
            answer_id, "variant_of", "to"
        )

    def get_chunks(self, answer_id: int) -> list[Row]:
        """Returns the parts of an answer in order."""
        chunks = self.get_related(answer_id, "chunk_of", "to")
        # The sort is stable. Chunks without an index come last, in their order.
        return sorted(chunks, key=lambda row: (row["chunk_index"] is None, row["chunk_index"] or 0))

    def get_next_chunk(self, answer_id: int) -> Optional[Row]:
        """Returns the part after this one, by next_chunk."""
        return next(iter(self.get_related(answer_id, "next_chunk")), None)

    def get_prev_chunk(self, answer_id: int) -> Optional[Row]:
        """Returns the part before this one, by prev_chunk."""
        return next(iter(self.get_related(answer_id, "prev_chunk")), None)

    def get_translations(self, answer_id: int) -> list[Row]:
        """Returns the translations of an answer."""
        return self.get_related(answer_id, "translates", "to")
