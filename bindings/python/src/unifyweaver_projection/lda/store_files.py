"""Names and paths of a store's files, the same as the engine's (`layout.rs`)."""

from __future__ import annotations

import os
from typing import Optional

EMBEDDINGS_FOLDER = "embeddings"


def model_folder(model_name: str) -> str:
    """The name of an embedding model's folder: the model's name, in which characters that file
    systems don't allow are replaced."""

    def allowed(c: str) -> bool:
        control = ord(c) < 32 or 127 <= ord(c) < 160
        return not control and c not in '/\\:*?"<>|'

    name = "".join(c if allowed(c) else "_" for c in model_name)
    return "_" + name[1:] if name.startswith(".") else name


def embedding_name(entity_type: str, entity_id: int, model_id: int) -> str:
    return f"{entity_type}_{entity_id}_model_{model_id}.npy"


def head_name(mh_projection_id: int, cluster_id: int, part: str) -> str:
    """`part` is centroid, answer or W."""
    return f"mh_{mh_projection_id}_cluster_{cluster_id}_{part}.npy"


def linear_name(projection_id: int) -> str:
    return f"W_projection_{projection_id}.npy"


def has_files_of(folder: str, prefix: str) -> bool:
    """Whether a folder or one of its direct subfolders has files whose names begin so."""
    for searched in (folder, *_folders_in(folder)):
        try:
            names = os.listdir(searched)
        except OSError:
            continue
        if any(name.startswith(prefix) for name in names):
            return True
    return False


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is in a folder after links and `..` are resolved."""
    folder = os.path.realpath(folder)
    try:
        return os.path.commonpath([os.path.realpath(path), folder]) == folder
    except ValueError:
        return False  # On different drives.


class StoreFiles:
    """The paths of one store's files.

    `embeddings` is the folder that the caller chose for arrays. It is trusted like the store's
    own folder.
    """

    def __init__(self, database: str, embeddings: Optional[str]) -> None:
        self._database = database
        self.store = os.path.dirname(database)
        default = os.path.join(self.store, EMBEDDINGS_FOLDER)
        self.embeddings = default if embeddings is None else embeddings
        #: Whether each embedding model has a folder of its own.
        self.by_model = os.path.realpath(self.embeddings) == os.path.realpath(default)
        #: Whether the engine, which reads files in the store's folder only, can read the arrays.
        self.engine_can_read = is_inside(self.embeddings, self.store or ".")

    def may_have_neighbours(self) -> bool:
        """Whether the folder may have another database: a file of whole pages of 512 bytes."""
        database = os.path.basename(self._database)
        ours = {database + suffix for suffix in ("", "-journal", "-wal", "-shm")}
        with os.scandir(self.store or ".") as entries:
            sizes = [e.stat().st_size for e in entries if e.is_file() and e.name not in ours]
        return any(size and size % 512 == 0 for size in sizes)

    def folder(self, model_name: str) -> str:
        """The folder that an embedding model's arrays are written to."""
        if self.by_model:
            return os.path.join(self.embeddings, model_folder(model_name))
        return self.embeddings

    def path_in_database(self, path: str) -> str:
        """The path in the database of a file: relative to the database, so that the store can be
        moved, or absolute if the file is outside the store's folder."""
        if not is_inside(path, self.store or "."):
            return os.path.abspath(path)
        folder = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return os.path.relpath(folder, os.path.realpath(self.store or ".")).replace(os.sep, "/")

    def resolve(self, path_in_database: str, model_name: str = "") -> str:
        """Returns the file that `path_in_database` names.

        Raises FileNotFoundError if it does not exist and no folder of arrays has a file of its
        name, and ValueError if it is outside the store.
        """
        outside = None
        for candidate in (os.path.join(self.store, path_in_database), path_in_database):
            if not os.path.isfile(candidate):
                continue
            if self._allows(candidate):
                return candidate
            if os.path.isabs(path_in_database) or candidate != path_in_database:
                outside = outside or candidate
        # The store may have been moved, perhaps from another system.
        name = path_in_database.replace("\\", "/").rsplit("/", 1)[-1]
        others = [os.path.join(self.store, EMBEDDINGS_FOLDER), self.embeddings]
        folders = [os.path.join(others[0], model_folder(model_name)), *others]
        for other in others:
            folders += sorted(_folders_in(other))
        for folder in folders if name else ():
            candidate = os.path.join(folder, name)
            if os.path.isfile(candidate) and self._allows(candidate):
                return candidate
        if outside is not None:
            raise ValueError(
                f"the path '{path_in_database}' in the database leads to {outside}, outside the "
                f"store's folder"
            )
        raise FileNotFoundError(
            f"no file '{path_in_database}', the path in the database, and no file of its name in "
            f"{self.embeddings}"
        )

    def resolve_if_found(
        self, path_in_database: Optional[str], model_name: str = ""
    ) -> Optional[str]:
        """Returns the file like :meth:`resolve`, or the path unchanged if that fails."""
        if not path_in_database:
            return path_in_database
        try:
            return self.resolve(path_in_database, model_name)
        except (OSError, ValueError):
            return path_in_database

    def stamp(self, path_in_database: Optional[str]) -> Optional[tuple[int, int, int]]:
        """Returns a value that changes when the file changes; None if there is no such file."""
        if not path_in_database:
            return None
        try:
            status = os.stat(os.path.join(self.store, path_in_database))
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _allows(self, path: str) -> bool:
        return is_inside(path, self.store or ".") or is_inside(path, self.embeddings)


def _folders_in(folder: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
