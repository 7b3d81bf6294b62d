"""bad/: arrays and models that must be refused, and bad.txt with the expected errors."""

import json

import numpy as np

from . import npyfile
from .models import Files, related
from .numbers import Stream

# Status numbers of the C ABI.
STATUS = {
    "DIMENSION_MISMATCH": 2, "NOT_FINITE": 3, "ZERO_VECTOR": 4, "NOT_FOUND": 5,
    "INVALID_ARRAY": 7, "INVALID_MODEL": 8, "AMBIGUOUS_MODEL": 10,
}
HEADER = """\
# What must be refused; README.md says what each column is.
# kind path model_id status status_name words...
"""


def arrays():
    """(name, bytes, word in the message) of every damaged or foreign array.

    The message also names the file, so no name may contain the word.
    """
    data = np.arange(1.0, 9.0)
    good = npyfile.encode(data, "<f4")
    body = good[-32:]
    cut = npyfile.header("<f4", (8,))

    def shaped(shape, content=body, **options):
        return npyfile.header("<f4", shape, **options) + content

    def headed(text, content=body):
        return npyfile.header("<f4", (8,), text=text) + content

    def typed(descr, size):
        return npyfile.header(descr, (4,)) + bytes(4 * size)

    # The length field exceeds the file.
    long_1 = npyfile.MAGIC + b"\x01\x00" + b"\x60\xea" + cut[10:] + body
    long_2 = npyfile.MAGIC + b"\x02\x00" + b"\xf0\xff\xff\xff" + cut[10:] + body
    shape = "'fortran_order': False, 'shape': (8,)"
    yield from [
        ("empty", b"", "magic"),
        ("start_cut", good[:4], "magic"),
        ("start_wrong", b"\x93NUMPX" + good[6:], "magic"),
        ("start_text", b"0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8\n", "magic"),
        ("format_0", good[:6] + b"\x00\x09" + good[8:], "version"),
        ("format_4", good[:6] + b"\x04\x00" + good[8:], "version"),
        ("head_length_cut", good[:9], "header"),
        ("head_cut", good[:40], "header"),
        ("head_longer_than_file", long_1, "header"),
        ("head_longer_than_memory", long_2, "header"),
        ("head_garbage", headed("this is not a dictionary"), "header"),
        ("head_binary", headed("{'descr': '<f4', \xff\xfe\x00\x01"), "header"),
        ("head_list", headed("['<f4', False, (8,)]"), "header"),
        ("head_unclosed", headed("{'descr': '<f4', 'fortran_order': False, 'shape': (8,"),
         "header"),
        ("head_nested", headed("{'descr': '<f4', " + shape + ", 'x': " + "(" * 20000 + "}"),
         "header"),
        ("no_type", headed("{" + shape + ", }"), "descr"),
        ("no_order", headed("{'descr': '<f4', 'shape': (8,), }"), "fortran_order"),
        ("no_size", headed("{'descr': '<f4', 'fortran_order': False, }"), "shape"),
        ("size_text", headed("{'descr': '<f4', 'fortran_order': False, 'shape': 'x', }"),
         "shape"),
        ("size_negative", shaped((-8,)), "shape"),
        ("size_negative_pair", shaped((-2, -4)), "shape"),
        # Products that wrap to 0, or to the 8 elements present, in 64 bits.
        ("size_overflow", shaped((2**32, 2**32), b""), "shape"),
        ("size_overflow_to_size", shaped((2**61 + 1, 8)), "shape"),
        ("size_overflow_bytes", shaped((2**62,), b""), "shape"),
        ("size_overflow_number", shaped((10**30,)), "shape"),
        ("size_larger_than_memory", shaped((2**40,)), "bytes"),
        ("size_empty", shaped((0,), b""), "shape"),
        ("size_no_columns", shaped((4, 0), b""), "shape"),
        ("size_scalar", shaped((), body[:4]), "shape"),
        ("size_three", shaped((2, 2, 2)), "shape"),
        ("data_missing", cut, "bytes"),
        ("data_cut", good[:-4], "bytes"),
        ("data_cut_in_element", good[:-1], "bytes"),
        ("data_cut_float64", npyfile.encode(data, "<f8")[:-8], "bytes"),
        ("data_trailing", good + b"\x00", "bytes"),
        ("data_trailing_element", good + body[:4], "bytes"),
        ("dtype_int64", npyfile.encode(np.arange(4), "<i8"), "<i8"),
        ("dtype_uint8", npyfile.encode(np.arange(4), "|u1"), "|u1"),
        ("dtype_bool", npyfile.encode(np.ones(4), "|b1"), "|b1"),
        ("dtype_complex64", npyfile.encode(np.ones(4), "<c8"), "<c8"),
        ("dtype_text", typed("<U2", 8), "<U2"),
        ("dtype_unknown", typed("<q9", 8), "<q9"),
        # A pickled empty list, which a reader must not try to load.
        ("dtype_object", typed("|O", 0) + b"\x80\x04].", "|O"),
        ("dtype_structured", headed("{'descr': [('a', '<f4'), ('b', '<f4')], " + shape + ", }",
                                    body + body), "descr"),
    ]


class Broken(Files):
    """A folder with the good heads 2 and 10 of model 1, d = 8, to which a bad one is added."""

    def __init__(self, root, name, good=(2, 10)):
        super().__init__(root, f"bad/models/{name}", 1)
        self.stream = Stream(f"bad {name}")
        self.vectors = related(self.stream, 8)
        for n in good:
            self.head(n, next(self.vectors), next(self.vectors))

    def damaged(self, n, kind, value):
        """Head n, with one number of one of its vectors replaced."""
        for other in ("centroid", "answer"):
            vector = next(self.vectors).copy()
            if other == kind:
                vector[5] = value
            self.write(n, other, vector, "<f8")

    def sized(self, n, centroid, answer, W=None):
        """Head n, with arrays of the given shapes."""
        for kind, shape in (("centroid", centroid), ("answer", answer), ("W", W)):
            if shape is not None:
                self.write(n, kind, self.stream.uniform(*shape), "<f4")


def models(root):
    """(path, id, status, words) of every model that must not load."""

    def entry(name, status, *words, model_id=1):
        return f"bad/models/{name}", model_id, status, words

    centroid, answer, W = (f"mh_1_cluster_3_{kind}.npy" for kind in ("centroid", "answer", "W"))

    npyfile.write_text(f"{root}/bad/models/no_heads/notes.txt", "No model here.\n")
    yield entry("no_heads", "NOT_FOUND", "no_heads")
    yield entry("no_such_folder", "NOT_FOUND", "no_such_folder")
    Broken(root, "other_id")
    yield entry("other_id", "NOT_FOUND", "other_id", "12", model_id=12)
    # Old names carry no id: beside mh_ files they belong to no model.
    mixed = Broken(root, "old_names_beside_other_id")
    npyfile.write(f"{root}/{mixed.path}/centroid_1.npy", next(mixed.vectors), "<f4")
    npyfile.write(f"{root}/{mixed.path}/answer_emb_1.npy", next(mixed.vectors), "<f4")
    yield entry("old_names_beside_other_id", "NOT_FOUND", "12", model_id=12)

    one = Broken(root, "answer_missing")
    one.write(3, "centroid", next(one.vectors), "<f4")
    yield entry("answer_missing", "INVALID_MODEL", answer)
    one = Broken(root, "centroid_missing")
    one.write(3, "answer", next(one.vectors), "<f4")
    yield entry("centroid_missing", "INVALID_MODEL", centroid)
    old = Files(root, "bad/models/old_answer_missing", 1)
    npyfile.write(f"{root}/{old.path}/centroid_3.npy", next(one.vectors), "<f4")
    yield entry("old_answer_missing", "INVALID_MODEL", "answer_emb_3.npy")

    Broken(root, "heads_of_two_sizes").sized(3, (7,), (7,))
    yield entry("heads_of_two_sizes", "DIMENSION_MISMATCH", centroid)
    Broken(root, "answer_of_other_size").sized(3, (8,), (7,))
    yield entry("answer_of_other_size", "DIMENSION_MISMATCH", answer)
    Broken(root, "matrix_of_other_width").sized(3, (8,), (8,), (8, 7))
    yield entry("matrix_of_other_width", "DIMENSION_MISMATCH", W)
    Broken(root, "matrix_of_other_height").sized(3, (8,), (8,), (5, 8))
    yield entry("matrix_of_other_height", "DIMENSION_MISMATCH", W)
    # As many numbers as 8 × 8, but not a matrix.
    Broken(root, "matrix_flat").sized(3, (8,), (8,), (64,))
    yield entry("matrix_flat", "DIMENSION_MISMATCH", W)
    Broken(root, "centroid_of_two_rows").sized(3, (2, 8), (8,))
    yield entry("centroid_of_two_rows", "DIMENSION_MISMATCH", centroid)
    Broken(root, "centroid_column").sized(3, (8, 1), (8,))
    yield entry("centroid_column", "DIMENSION_MISMATCH", centroid)

    for kind, name in (("centroid", centroid), ("answer", answer)):
        for word, value in (("nan", np.nan), ("infinite", -np.inf)):
            Broken(root, f"{kind}_{word}").damaged(3, kind, value)
            yield entry(f"{kind}_{word}", "NOT_FINITE", name)
    # Finite in the file, infinite as float32.
    Broken(root, "answer_beyond_float32").damaged(3, "answer", 1e39)
    yield entry("answer_beyond_float32", "NOT_FINITE", answer)
    one = Broken(root, "matrix_nan")
    matrix = one.stream.uniform(8, 8)
    matrix[7, 7] = np.nan
    one.head(3, next(one.vectors), next(one.vectors), matrix)
    yield entry("matrix_nan", "NOT_FINITE", W)
    one = Broken(root, "centroid_zero")
    one.head(3, np.zeros(8), next(one.vectors))
    yield entry("centroid_zero", "ZERO_VECTOR", centroid)

    one = Broken(root, "centroid_cut")
    one.write(3, "answer", next(one.vectors), "<f4")
    npyfile.write_bytes(f"{root}/{one.path}/{centroid}",
                        npyfile.encode(next(one.vectors), "<f8")[:-8])
    yield entry("centroid_cut", "INVALID_ARRAY", centroid)
    one = Broken(root, "answer_of_integers")
    one.write(3, "centroid", next(one.vectors), "<f4")
    one.write(3, "answer", np.arange(8), "<i8")
    yield entry("answer_of_integers", "INVALID_ARRAY", answer, "<i8")

    yield from other_kinds(root, entry)

    Broken(root, "ambiguous/embeddings/model_a")
    Broken(root, "ambiguous/embeddings/model_b", good=(4, 5))
    yield entry("ambiguous/embeddings", "AMBIGUOUS_MODEL", "model_a", "model_b")


def other_kinds(root, entry):
    """Residual, linear and multi-head models whose parameters or further files are wrong."""
    parameters = dict(kind="residual", gain=0.5, temperature=0.1, neighbours=32, rotation=True,
                      adapter=False)

    def model(name, sizes=((3, 8), (1, 8)), **changes):
        one = Broken(root, name)
        text = json.dumps({k: v for k, v in (parameters | changes).items() if v != "absent"})
        npyfile.write_text(f"{root}/{one.path}/mh_1_model.json", text)
        for n, size in zip((2, 10), sizes):
            if size:
                one.write(n, "questions", one.stream.uniform(*size), "<f4")
        return one

    def whole(one, kind, array):
        npyfile.write(f"{root}/{one.path}/mh_1_{kind}.npy", array, "<f4")

    file = "mh_1_model.json"
    for name, changes, words in (
        ("kind_unknown", {"kind": "magic"}, ("magic",)),
        ("kind_absent", {"kind": "absent"}, ("kind",)),
        ("gain_text", {"gain": "much"}, ("gain", "much")),
        ("neighbours_zero", {"neighbours": 0}, ("neighbours",)),
        ("neighbours_absent", {"neighbours": "absent"}, ("neighbours",)),
        ("top_k_zero", {"kind": "multi_head", "top_k": 0}, ("top_k",)),
    ):
        model(name, **changes)
        yield entry(name, "INVALID_MODEL", file, *words)
    one = model("parameters_cut")
    npyfile.write_text(f"{root}/{one.path}/{file}", '{"kind": "resid')
    yield entry("parameters_cut", "INVALID_MODEL", file)
    model("questions_missing", sizes=((3, 8), None))
    yield entry("questions_missing", "NOT_FOUND", "mh_1_cluster_10_questions.npy")
    model("questions_of_other_width", sizes=((3, 8), (2, 7)))
    yield entry("questions_of_other_width", "DIMENSION_MISMATCH", "mh_1_cluster_10_questions.npy")
    one = model("question_zero")
    one.write(10, "questions", np.zeros((2, 8)), "<f4")
    yield entry("question_zero", "ZERO_VECTOR", "mh_1_cluster_10_questions.npy")
    one = model("question_nan")
    one.write(2, "questions", np.full((2, 8), np.nan), "<f4")
    yield entry("question_nan", "NOT_FINITE", "mh_1_cluster_2_questions.npy")
    model("adapter_missing", adapter=True)
    yield entry("adapter_missing", "NOT_FOUND", "mh_1_adapter.npy")
    whole(model("adapter_of_other_size", adapter=True), "adapter", np.eye(7))
    yield entry("adapter_of_other_size", "DIMENSION_MISMATCH", "mh_1_adapter.npy")
    whole(model("adapter_infinite", adapter=True), "adapter", np.full((8, 8), np.inf))
    yield entry("adapter_infinite", "NOT_FINITE", "mh_1_adapter.npy")
    npyfile.write(f"{root}/bad/models/linear_nan/W_projection_1.npy", np.full((2, 3), np.nan), "<f4")
    yield entry("linear_nan", "NOT_FINITE", "W_projection_1.npy")


def build(root):
    """Writes bad/ and bad.txt."""
    lines = []
    for name, data, word in arrays():
        path = f"bad/arrays/{name}.npy"
        assert word not in path, path
        npyfile.write_bytes(f"{root}/{path}", data)
        lines.append(("array", path, 0, "INVALID_ARRAY", [f"{name}.npy", word]))
    lines += [("model", *model) for model in models(root)]
    npyfile.write_text(f"{root}/bad.txt", HEADER + "".join(
        f"{kind} {path} {number} {STATUS[status]} {status} {' '.join(words)}\n"
        for kind, path, number, status, words in lines))
