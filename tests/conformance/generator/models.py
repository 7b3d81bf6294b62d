"""The valid models: their purpose, and their files under models/."""

import dataclasses
import itertools

import numpy as np

from . import npyfile
from .numbers import Stream, norm, unit

# Text order is 0 10 100 2 9 …; the last two are not exact in float64.
PLAIN_IDS = [2, 10, 100, 9]
LARGE_IDS = [0, 9, 10, 4294967297, 9007199254740993, 9223372036854775807]


@dataclasses.dataclass
class Head:
    """A head as an exact reader of its files sees it."""

    cluster_id: int
    centroid: np.ndarray
    answer: np.ndarray
    W: np.ndarray | None = None


@dataclasses.dataclass
class Model:
    """A model id in a folder, with its heads in ascending cluster id."""

    path: str
    id: int
    heads: list

    def __post_init__(self):
        self.heads = sorted(self.heads, key=lambda head: head.cluster_id)

    @property
    def d(self):
        return len(self.heads[0].centroid)

    @property
    def d_out(self):
        return len(self.heads[0].answer)


@dataclasses.dataclass
class Files:
    """How a folder names its files."""

    root: str
    path: str
    id: int
    names: str = "mh_{id}_cluster_{n}_{kind}.npy"

    def write(self, n, kind, array, dtype, **options):
        name = self.names.format(id=self.id, n=n, kind=kind)
        return npyfile.write(f"{self.root}/{self.path}/{name}", array, dtype, **options)

    def head(self, n, centroid, answer, W=None, dtypes=("<f4", "<f4", "<f4"), **options):
        return Head(
            n,
            self.write(n, "centroid", centroid, dtypes[0], **options).reshape(-1),
            self.write(n, "answer", answer, dtypes[1], **options).reshape(-1),
            None if W is None else self.write(n, "W", W, dtypes[2], **options),
        )


def related(stream, d, spread=1.2):
    """Endless unit vectors with mutual cosines of about 1 / (1 + spread²), as text has."""
    common = stream.unit(d)
    while True:
        yield unit(common + spread * stream.unit(d))


def simple(root, name, ids, d, dtypes, norms=(1.0,), model_id=1, path=None):
    """A model without matrices; centroid norms cycle through `norms`."""
    files = Files(root, path or f"models/{name}", model_id)
    stream = Stream(name)
    centroids, answers = related(stream, d), related(stream, d, 2.0)
    heads = [
        files.head(n, next(centroids) * size, next(answers), dtypes=dtypes)
        for n, size in zip(ids, itertools.cycle(norms))
    ]
    return Model(files.path, model_id, heads)


def axes(root):
    """Centroids along coordinate axes, so that queries can be orthogonal or opposite."""
    files = Files(root, "models/d3_axes", 4)
    answers = related(Stream("d3_axes"), 3, 2.0)
    return Model(files.path, 4, [
        files.head(1, [2.0, 0.0, 0.0], next(answers), dtypes=("<f8", "<f8", "<f8")),
        files.head(2, [0.0, 0.5, 0.0], next(answers), dtypes=("<f8", "<f8", "<f8")),
    ])


def ties(root):
    """Heads 3 and 20 have the same centroid, head 100 has twice that: all weights are equal."""
    files = Files(root, "models/d8_ties", 1)
    stream = Stream("d8_ties")
    centroids, answers = related(stream, 8), related(stream, 8, 2.0)
    first = next(centroids)
    chosen = {3: first, 7: next(centroids), 20: first, 100: 2.0 * first}
    return Model(files.path, 1, [files.head(n, c, next(answers)) for n, c in chosen.items()])


def fortran(root):
    """One-row matrices and W in Fortran order, float64, W on every second head."""
    files = Files(root, "models/d8_fortran", 3)
    stream = Stream("d8_fortran")
    centroids, answers = related(stream, 8), related(stream, 8, 2.0)
    heads = []
    for i, n in enumerate([11, 2, 30, 4]):
        W = stream.uniform(8, 8) if i % 2 else None
        heads.append(files.head(n, [next(centroids)], [next(answers)], W,
                                dtypes=("<f8",) * 3, fortran=True))
    return Model(files.path, 3, heads)


def headers(root):
    """Header versions 1.0, 2.0 and 3.0, 16-byte alignment, other spellings; 1-d and (1, d)."""
    files = Files(root, "models/d8_headers", 1)
    stream = Stream("d8_headers")
    centroids, answers = related(stream, 8), related(stream, 8, 2.0)
    one_row = "{'shape': (1, 8), 'fortran_order': False, 'descr': '<f8'}"
    vector = "{'descr':'<f8','fortran_order':True,'shape':(8,)}"
    spellings = [
        dict(version=(1, 0)), dict(version=(2, 0)), dict(version=(3, 0)),
        dict(version=(1, 0), align=16), dict(text=one_row), dict(version=(2, 0), text=vector),
    ]
    heads = []
    for n, options in enumerate(spellings, start=1):
        shape = (1, 8) if n in (2, 5) else (8,)
        heads.append(files.head(n, next(centroids).reshape(shape), next(answers).reshape(shape),
                                dtypes=("<f8",) * 3, **options))
    return Model(files.path, 1, heads)


def some_matrices(root):
    """W on two heads of five, float32 in C order, not orthogonal and not symmetric."""
    files = Files(root, "models/d8_some_w", 1)
    stream = Stream("d8_some_w")
    centroids, answers = related(stream, 8), related(stream, 8, 2.0)
    return Model(files.path, 1, [
        files.head(n, next(centroids), next(answers), stream.uniform(8, 8) if n in (3, 21) else None)
        for n in (1, 3, 12, 21, 30)
    ])


def narrowing(root, name, d, d_out, ids, dtypes):
    """Every head has a W (d_out × d) and an answer of d_out numbers."""
    files = Files(root, f"models/{name}", 1)
    stream = Stream(name)
    centroids, answers = related(stream, d), related(stream, d_out, 2.0)
    return Model(files.path, 1, [
        files.head(n, next(centroids), next(answers), stream.uniform(d_out, d), dtypes) for n in ids
    ])


def wide_matrix(root):
    """384 × 384 in float16 on one head of two."""
    files = Files(root, "models/d384_w", 1)
    stream = Stream("d384_w")
    centroids, answers = related(stream, 384), related(stream, 384, 2.0)
    W = 0.05 * stream.uniform(384, 384) + 0.5 * np.eye(384)
    return Model(files.path, 1, [
        files.head(1, next(centroids), next(answers)),
        files.head(2, next(centroids), next(answers), W, dtypes=("<f4", "<f4", "<f2")),
    ])


def near_ties(root):
    """Pairs of centroids that differ by about the temperature 0.001, not of unit length."""
    files = Files(root, "models/d3_near_ties", 1)
    stream = Stream("d3_near_ties")
    centroids, answers = related(stream, 3), related(stream, 3, 2.0)
    heads = []
    for n in (1, 2, 3):
        centroid = next(centroids)
        beside = centroid + 0.002 * stream.unit(3)
        heads.append(files.head(n, 0.37 * centroid, next(answers)))
        heads.append(files.head(10 * n, 29.0 * beside, next(answers)))
    return Model(files.path, 1, heads)


def old_names(root):
    """`centroid_{n}.npy` and `answer_emb_{n}.npy`: no id in the names, so any id loads it."""
    path = "models/old_names"
    stream = Stream("old_names")
    centroids, answers = related(stream, 8), related(stream, 8, 2.0)
    heads = []
    for n in (1, 2, 3, 9, 10, 11, 20, 100, 12, 13, 14, 15):
        centroid = npyfile.write(f"{root}/{path}/centroid_{n}.npy", next(centroids), "<f8")
        answer = npyfile.write(f"{root}/{path}/answer_emb_{n}.npy", next(answers), "<f4")
        heads.append(Head(n, centroid, answer))
    return Model(path, 1, heads)


def straight(root):
    """Files directly in `embeddings/`, among others that must not be taken for heads of 1."""
    path = "models/straight/embeddings"
    model = simple(root, "straight", [1, 2, 10, 9], 8, ("<f8", "<f4", "<f4"), path=path)
    # Another model whose id begins with the same digit, of another dimension.
    simple(root, "straight_11", [1, 2], 3, ("<f8", "<f4", "<f4"), model_id=11, path=path)
    # Vectors of questions and answers live in the same folder in old stores.
    npyfile.write(f"{root}/{path}/answer_5_model_1.npy", Stream("straight_5").unit(8), "<f4")
    npyfile.write(f"{root}/{path}/W_projection_1.npy", np.eye(8), "<f8")
    # Old names beside mh_ files are not heads of this model.
    npyfile.write(f"{root}/{path}/centroid_1.npy", [1.0, 2.0, 3.0], "<f4")
    npyfile.write(f"{root}/{path}/answer_emb_1.npy", [1.0, 2.0, 3.0], "<f4")
    # A file that an interrupted writer left.
    npyfile.write_bytes(f"{root}/{path}/mh_1_cluster_3_centroid.npy.tmp", b"\x93NUMPY\x01")
    npyfile.write_text(f"{root}/{path}/notes.txt", "Not an array.\n")
    return model


def chapter(root):
    """`embeddings/{model_name}/` for two embedding models, each with its own model ids."""
    both = "models/chapter/embeddings"
    first = simple(root, "chapter", list(range(1, 19)), 8, ("<f4", "<f4", "<f4"),
                   path=f"{both}/all-toys-v2")
    second = simple(root, "chapter_other", [5, 40], 3, ("<f4", "<f4", "<f4"), model_id=2,
                    path=f"{both}/other-model")
    return first, Model(both, 1, first.heads), Model(both, 2, second.heads)


def build(root):
    """Writes every model below `root` and returns them by the name that cases use."""
    f4, f8, f2, old = ("<f4",) * 3, ("<f8",) * 3, ("<f2",) * 3, ("<f8", "<f4", "<f4")
    in_folder, by_search, by_search_2 = chapter(root)
    sizes = (0.01, 0.1, 1.0, 7.5, 100.0)
    return {
        "d3_one": simple(root, "d3_one", [7], 3, f4, norms=(3.0,)),
        "d3_axes": axes(root),
        "d3_near_ties": near_ties(root),
        "d8_mixed": simple(root, "d8_mixed", PLAIN_IDS, 8, old),
        "d8_float64": simple(root, "d8_float64", [1, 2], 8, f8, norms=(0.3, 4.0)),
        "d8_float16": simple(root, "d8_float16", range(1, 19), 8, f2),
        "d8_norms": simple(root, "d8_norms", range(5, 15), 8, f4, norms=sizes),
        "d8_large_ids": simple(root, "d8_large_ids", LARGE_IDS, 8, f4, model_id=9007199254740993),
        "d8_ties": ties(root),
        "d8_fortran": fortran(root),
        "d8_headers": headers(root),
        "d8_some_w": some_matrices(root),
        "d8_to_d3": narrowing(root, "d8_to_d3", 8, 3, [1, 2, 10], ("<f8", "<f4", "<f8")),
        "d384_to_d8": narrowing(root, "d384_to_d8", 384, 8, [3, 4, 50], f4),
        "d384_w": wide_matrix(root),
        "d384_18": simple(root, "d384_18", range(1, 19), 384, old),
        "d384_200": simple(root, "d384_200", range(1, 201), 384, f4, norms=(1.0, 0.8)),
        "old_names": old_names(root),
        "old_names_any_id": dataclasses.replace(old_names(root), id=77),
        "straight": straight(root),
        "chapter": in_folder,
        "chapter_search": by_search,
        "chapter_search_other": by_search_2,
    }


def unit_centroids(model):
    return [head.centroid / norm(head.centroid) for head in model.heads]
