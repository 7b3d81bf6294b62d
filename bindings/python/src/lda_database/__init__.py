"""The database layer of semantic projections: a drop-in for the existing Python module.

    from lda_database import LDAProjectionDB

    db = LDAProjectionDB("lda.db")
    for row in db.multi_head_search(query_embedding, 1, top_k=3):
        print(row["score"], row["text"])

The engine reads vectors, projects and searches, see `unifyweaver_projection`.
"""

from unifyweaver_projection.lda import LDAProjectionDB

__all__ = ["LDAProjectionDB"]
