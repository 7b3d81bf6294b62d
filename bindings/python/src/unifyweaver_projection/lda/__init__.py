"""The database layer of the existing Python code, over the engine; see `lda_database`."""

from .database import LDAProjectionDB

__all__ = ["LDAProjectionDB"]
