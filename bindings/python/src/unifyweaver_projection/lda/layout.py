"""Names and places of a store's files, the same as the engine's (`layout.rs`)."""

from __future__ import annotations

import os
from typing import Optional

EMBEDDINGS_FOLDER = "embeddings"


def model_folder(model_name: str) -> str:
    """The folder of a text model's files: its name, without what folders can't be named."""

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


def has_files_of(folder: str, projection_id: int) -> bool:
    """Whether a folder, or one of the folders in it, has files of a projection."""
    prefix, linear = f"mh_{projection_id}_", linear_name(projection_id)
    for below in (folder, *_folders_in(folder)):
        try:
            names = os.listdir(below)
        except OSError:
            continue
        if any(name.startswith(prefix) or name == linear for name in names):
            return True
    return False


def is_inside(path: str, folder: str) -> bool:
    """Whether a path lies in a folder once links and `..` are followed."""
    folder = os.path.realpath(folder)
    try:
        return os.path.commonpath([os.path.realpath(path), folder]) == folder
    except ValueError:
        return False  # Two drives.


class Places:
    """Where the files of one store are.

    `embeddings` is the folder that the caller chose for arrays, which is trusted as the
    store's own folder is.
    """

    def __init__(self, database: str, embeddings: Optional[str]) -> None:
        self.store = os.path.dirname(database)
        usual = os.path.join(self.store, EMBEDDINGS_FOLDER)
        self.embeddings = usual if embeddings is None else embeddings
        #: Whether files are in the chapter's layout, a folder for each text model.
        self.by_model = os.path.realpath(self.embeddings) == os.path.realpath(usual)
        #: Whether the engine, which does not leave the store's folder, finds the arrays.
        self.engine_finds = is_inside(self.embeddings, self.store or ".")

    def folder(self, model_name: str) -> str:
        """The folder that a text model's arrays are written to."""
        if self.by_model:
            return os.path.join(self.embeddings, model_folder(model_name))
        return self.embeddings

    def recorded(self, path: str) -> str:
        """How the database records a file: relative to the database, so that the store can
        be moved, or absolute where it lies elsewhere."""
        if not is_inside(path, self.store or "."):
            return os.path.abspath(path)
        folder = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return os.path.relpath(folder, os.path.realpath(self.store or ".")).replace(os.sep, "/")

    def find(self, recorded: str, model_name: str = "") -> str:
        """The file that the database records as `recorded`.

        Raises FileNotFoundError where it is neither there nor, by its name, in the folders
        of arrays, and ValueError where it lies outside the store.
        """
        outside = None
        for candidate in (os.path.join(self.store, recorded), recorded):
            if not os.path.isfile(candidate):
                continue
            if self._allows(candidate):
                return candidate
            if os.path.isabs(recorded) or candidate != recorded:
                outside = outside or candidate
        # The store was moved, perhaps from another system.
        name = recorded.replace("\\", "/").rsplit("/", 1)[-1]
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
                f"the path '{recorded}' of the database leads to {outside}, outside the store's "
                f"folder"
            )
        raise FileNotFoundError(
            f"no file '{recorded}', neither as the database records it nor by its name in "
            f"{self.embeddings}"
        )

    def shown(self, recorded: Optional[str], model_name: str = "") -> Optional[str]:
        """A recorded path as callers get it: one that opens, where there is the file."""
        if not recorded:
            return recorded
        try:
            return self.find(recorded, model_name)
        except (OSError, ValueError):
            return recorded

    def stamp(self, recorded: Optional[str]) -> Optional[tuple[int, int, int]]:
        """What changes when the file does; None for a file that is not where it should be."""
        if not recorded:
            return None
        try:
            found = os.stat(os.path.join(self.store, recorded))
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _allows(self, path: str) -> bool:
        return is_inside(path, self.store or ".") or is_inside(path, self.embeddings)


def _folders_in(folder: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
