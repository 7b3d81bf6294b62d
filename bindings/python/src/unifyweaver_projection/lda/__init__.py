"""The database layer that existing Python code uses, backed by the engine; see `lda_database`."""

from .database import LDAProjectionDB

__all__ = ["LDAProjectionDB"]
