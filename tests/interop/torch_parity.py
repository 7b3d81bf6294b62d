#!/usr/bin/env python3
"""Transformers in torch and in the engine: the same files, the same numbers.

usage: torch_parity.py PROJECTION_COMMAND
       torch_parity.py --fixture    (writes the small files of tests/conformance/transformer)

Needs torch with NumPy; on Debian, python3-torch, which uses the CPU only. The engine projects with
files written by torch.save, and torch with files written by the engine; the results must agree. The
engine must refuse damaged and hostile files without executing anything in them.
"""

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

warnings.filterwarnings("ignore")
try:
    import numpy as np
    import torch
except ImportError as error:
    sys.exit(f"missing: torch for {sys.executable} ({error}). Install it (Debian: python3-torch).")

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURE = ROOT / "tests/conformance/transformer"
TOLERANCE = 1e-5
CHECKS = 0
SIZES = ("embed_dim", "num_heads", "num_layers", "ff_dim")
STATES = ("input_proj", "encoder", "output_proj")


def check(what, holds):
    global CHECKS
    if not holds:
        sys.exit(f"failed: {what}")
    CHECKS += 1


class Transformer(torch.nn.Module):
    """The module whose state the files contain."""

    def __init__(self, embed_dim, num_heads, num_layers, ff_dim, dropout, outside=None):
        super().__init__()
        outside = outside or embed_dim
        layer = torch.nn.TransformerEncoderLayer(
            embed_dim, num_heads, ff_dim, dropout, activation="gelu", batch_first=True)
        self.sizes = dict(zip(SIZES, (embed_dim, num_heads, num_layers, ff_dim)), dropout=dropout)
        self.input_proj = torch.nn.Linear(outside, embed_dim)
        self.encoder = torch.nn.TransformerEncoder(layer, num_layers)
        self.output_proj = torch.nn.Linear(embed_dim, outside)
        with torch.no_grad():
            # Also norms and biases, which are initialised to 1 and 0.
            for parameter in self.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        self.eval()

    def forward(self, queries):
        x = self.encoder(self.input_proj(queries).unsqueeze(1))
        return self.output_proj(x.squeeze(1))

    def content(self, change=lambda tensor: tensor):
        states = {name: OrderedDict((key, change(tensor)) for key, tensor
                                    in getattr(self, name).state_dict().items())
                  for name in STATES}
        return {**self.sizes, **states}


def queries_for(model, count):
    queries = torch.randn(count, model.input_proj.in_features)
    return queries / queries.norm(dim=1, keepdim=True)


def expected(model, queries):
    """Returns the reference results in float64, and torch's results in float32."""
    with torch.no_grad():
        exact = model.double()(queries.double()).numpy()
        single = model.float()(queries.float()).numpy()
    return exact, single


class Engine:
    def __init__(self, command, place):
        self.command, self.place = command, place

    def run(self, *arguments):
        return subprocess.run([self.command, *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)

    def project(self, file, queries):
        np.save(self.place / "q.npy", queries)
        done = self.run("project", "--model", file, "--input", self.place / "q.npy",
                        "--output", self.place / "p.npy")
        check(f"{file}: {done.stderr}", done.returncode == 0)
        return np.load(self.place / "p.npy")

    def refuses(self, file, *words):
        done = self.run("project", "--model", file, "--input", self.place / "q.npy",
                        "--output", self.place / "no.npy")
        check(f"{file}: refused, not {done.returncode}: {done.stderr}", done.returncode == 1)
        for word in (*words, str(file)):
            check(f"{file}: {word!r} in {done.stderr!r}", word in done.stderr)
        check("nothing is written", not (self.place / "no.npy").exists())
        return done.stderr


def distance(found, exact):
    return float((np.abs(found - exact).max(1) / np.abs(exact).max(1)).max())


def parity(engine):
    shapes = [(8, 2, 1, 16, 0.0), (16, 4, 3, 20, 0.1), (384, 4, 2, 512, 0.1), (64, 8, 6, 64, 0.1)]
    for shape in shapes:
        model = Transformer(*shape)
        file = engine.place / "transformer.pt"
        torch.save(model.content(), file)
        queries = queries_for(model, 67)
        exact, single = expected(model, queries)
        found = engine.project(file, queries.numpy())
        error = distance(found, exact)
        check(f"{shape}: off by {error}", error < TOLERANCE)
        one = engine.project(file, queries.numpy()[0])
        check(f"{shape}: one query off by {distance(one[None], exact[:1])}",
              distance(one[None], exact[:1]) < TOLERANCE)
        print(f"ok: {shape}: {error:.1e} from float64; torch's float32 {distance(single, exact):.1e}")
    model = Transformer(12, 3, 2, 16, 0.0, outside=20)
    torch.save(model.content(), engine.place / "wide.pt")
    queries = queries_for(model, 5)
    exact, _ = expected(model, queries)
    check("other dimensions outside than inside",
          distance(engine.project(engine.place / "wide.pt", queries.numpy()), exact) < TOLERANCE)


def formats(engine):
    """Other files that torch can write for the same model."""
    torch.manual_seed(5)
    model = Transformer(16, 4, 2, 24, 0.1)
    queries = queries_for(model, 9)
    exact, _ = expected(model, queries)
    file = engine.place / "format.pt"

    def spread(tensor):
        if tensor.dim() == 1:
            return torch.stack([tensor, tensor], 1)[:, 1]
        return torch.cat([tensor, tensor]).t().contiguous().t()[: len(tensor)]

    shared = torch.cat([t.flatten() for s in STATES for t in getattr(model, s).state_dict().values()])
    offset = 0

    def view(tensor):
        nonlocal offset
        part = shared[offset : offset + tensor.numel()].view(tensor.shape)
        offset += tensor.numel()
        return part

    ways = {
        "float64": model.content(lambda tensor: tensor.double()),
        "transposed and strided": model.content(spread),
        "one storage for all": model.content(view),
        "parameters": model.content(lambda tensor: torch.nn.Parameter(tensor)),
        "ordered dictionary": OrderedDict(model.content()),
        "whole-number dropout": {**model.content(), "dropout": 0},
        "more keys": {**model.content(), "note": "kept", "metrics": [0.5, None, True, (1, 2)]},
    }
    for name, content in ways.items():
        for protocol in (2, 3, 4):
            torch.save(content, file, pickle_protocol=protocol)
            error = distance(engine.project(file, queries.numpy()), exact)
            check(f"{name}, protocol {protocol}: off by {error}", error < TOLERANCE)
    for dtype in (torch.float16, torch.bfloat16):
        torch.save(model.content(lambda tensor: tensor.to(dtype)), file)
        rounded = Transformer(16, 4, 2, 24, 0.1)
        for state in STATES:
            getattr(rounded, state).load_state_dict(
                {key: t.to(dtype).float() for key, t in getattr(model, state).state_dict().items()})
        error = distance(engine.project(file, queries.numpy()), expected(rounded, queries)[0])
        check(f"{dtype}: off by {error}", error < TOLERANCE)
    print(f"ok: {3 * len(ways) + 2} ways to write a model")
    torch.save(model.content(), file, _use_new_zipfile_serialization=False)
    engine.refuses(file, "torch before 1.6")


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def rewritten(file, target, change, compression=zipfile.ZIP_STORED):
    """Copies a torch file with changed or removed entries: {name: bytes or None}."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            name = entry.filename.split("/", 1)[1]
            data = change.get(name, old.read(entry))
            if data is not None:
                new.writestr(entry.filename, data)
    return target


def hostile(engine):
    torch.manual_seed(6)
    model = Transformer(8, 2, 1, 12, 0.1)
    np.save(engine.place / "q.npy", queries_for(model, 2).numpy())
    good = engine.place / "good.pt"
    torch.save(model.content(), good)
    bad = engine.place / "bad.pt"
    trace = engine.place / "it_ran"

    calls = {
        "posix.system": Harmful(os.system, f"touch {trace}"),
        "subprocess.Popen": Harmful(subprocess.Popen, ["touch", str(trace)]),
        "eval": Harmful(eval, f"open({str(trace)!r}, 'w')"),
        "getattr": Harmful(getattr, "text", "upper"),
    }
    for name, call in calls.items():
        for protocol in (2, 4):
            for content in ({**model.content(), "dropout": call}, call,
                            {**model.content(), "encoder": call}):
                torch.save(content, bad, pickle_protocol=protocol)
                engine.refuses(bad, name.split(".")[-1])
    check("nothing of a file was run", not trace.exists())
    pickle.loads(pickle.dumps(calls["posix.system"]))
    check("the harm would have been done", trace.exists())
    for other in (torch.jit.script(torch.nn.Linear(2, 2)),):
        other.save(str(bad))
        engine.refuses(bad)
    torch.save(model, bad)
    engine.refuses(bad, "__main__.Transformer")
    torch.save(model.content(lambda tensor: tensor.long()), bad)
    engine.refuses(bad, "LongStorage")
    torch.save([1, 2], bad)
    engine.refuses(bad, "a list", "dictionary")

    for key in (*SIZES, "dropout", *STATES):
        torch.save({k: v for k, v in model.content().items() if k != key}, bad)
        engine.refuses(bad, f"no {key}")
    for state in STATES:
        for key in model.content()[state]:
            content = model.content()
            del content[state][key]
            torch.save(content, bad)
            engine.refuses(bad, f"no {state}.{key}")
            content = model.content()
            content[state][key] = torch.zeros([7] * content[state][key].dim())
            torch.save(content, bad)
            engine.refuses(bad, f"{state}.{key}" if key != "weight" else state, "expected")
            content[state][key] = model.content()[state][key] * float("nan")
            torch.save(content, bad)
            engine.refuses(bad, f"{state}.{key}", "NaN")
    content = model.content()
    content["encoder"]["norm.weight"] = torch.ones(8)
    torch.save(content, bad)
    engine.refuses(bad, "encoder.norm.weight")
    for key, value in (("embed_dim", -8), ("embed_dim", 2**62), ("num_layers", 2**40), ("num_heads", 3),
                       ("num_layers", 0), ("ff_dim", "12"), ("dropout", 7.0), ("num_heads", 2**100)):
        torch.save({**model.content(), key: value}, bad)
        engine.refuses(bad)
    torch.save({**model.content(), "num_layers": 2}, bad)
    engine.refuses(bad, "encoder.layers.1")

    with zipfile.ZipFile(good) as archive:
        data = archive.read("good/data.pkl")
        zeros = bytes(len(archive.read("good/data/0")))
    rewritten(good, bad, {"data/0": zeros[:-4]})
    engine.refuses(bad, "elements of 4 bytes")
    rewritten(good, bad, {"data/0": None})
    engine.refuses(bad, "data/0")
    rewritten(good, bad, {"data.pkl": None})
    engine.refuses(bad, "data.pkl")
    rewritten(good, bad, {"data.pkl": b"\x80\x02" + b"(" * (5 << 20)})
    engine.refuses(bad, "bytes")
    for program in (b"(" * 1000000 + b".", b"]q\x00" + b"h\x00" * 1000000 + b".", b"h\x01.", b"t.", b"}h.",
                    b"}q\x00h\x00s.", b"X\xff\xff\xff\x7fa.", b"\x8a\xff.", b"cos\nsystem\n.", b"R.", b"b.",
                    b"}(" + b"K\x01" * 200001 + b"u.", b"", b".", b"Q.", b"cos", b"i", b"\x8b\xff\xff\xff\xff."):
        rewritten(good, bad, {"data.pkl": b"\x80\x02" + program})
        engine.refuses(bad, "data.pkl")
    # Tensors larger than their storage: by stride 0, by shape and by offset.
    shape = b"K\x08K\x08\x86"
    check("the pickle has a square tensor", data.count(shape) > 0)
    for other in (b"J\xff\xff\xff\x7fK\x08\x86", b"J\xff\xff\xff\xffK\x08\x86",
                  b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x08\x86"):
        rewritten(good, bad, {"data.pkl": data.replace(shape, other, 1)})
        engine.refuses(bad, "input_proj.weight", "storage")
    rewritten(good, bad, {"data/0": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    check("a bomb is small", bad.stat().st_size < 1_000_000)
    engine.refuses(bad, "compressed")
    with zipfile.ZipFile(rewritten(good, bad, {}), "a") as archive:
        archive.writestr("good/data/0", zeros)
    engine.refuses(bad, "two entries")
    with zipfile.ZipFile(rewritten(good, bad, {}), "a") as archive:
        archive.writestr("other/data.pkl", data)
    engine.refuses(bad, "2 entries")
    for order in (b"big", b"middle"):
        with zipfile.ZipFile(rewritten(good, bad, {}), "a") as archive:
            archive.writestr("good/byteorder", order)
        if order == b"middle":
            engine.refuses(bad, "byteorder")
    big = {f"data/{i}": np.frombuffer(zipfile.ZipFile(good).read(f"good/data/{i}"), "<f4")
           .astype(">f4").tobytes() for i in range(16)}
    with zipfile.ZipFile(rewritten(good, bad, big), "a") as archive:
        archive.writestr("good/byteorder", b"big")
    queries = np.load(engine.place / "q.npy")
    check("a big-endian file", (engine.project(bad, queries) == engine.project(good, queries)).all())
    damaged(engine, good, bad)


def damaged(engine, good, bad):
    """Truncated files and flipped bits cause an error or no change, never a crash."""
    whole = good.read_bytes()
    lengths = sorted({*range(0, 40), *range(0, len(whole), 211), *range(len(whole) - 30, len(whole))})
    for length in lengths:
        bad.write_bytes(whole[:length])
        engine.refuses(bad)
    queries = np.load(engine.place / "q.npy")
    numbers = engine.project(good, queries)
    generator = random.Random(7)
    refused = 0
    directory = whole.rindex(b"PK\x05\x06")
    for number in range(400):
        flipped = bytearray(whole)
        for _ in range(1 + number % 3):
            place = generator.randrange(len(whole)) if number % 2 else \
                generator.choice((generator.randrange(4000), generator.randrange(directory - 2500, len(whole))))
            flipped[place] ^= 1 << generator.randrange(8)
        bad.write_bytes(flipped)
        done = engine.run("project", "--model", bad, "--input", engine.place / "q.npy",
                          "--output", engine.place / "flipped.npy")
        check(f"flips {number}: status {done.returncode}, {done.stderr}", done.returncode in (0, 1))
        refused += done.returncode
        if done.returncode == 0:
            check(f"flips {number}: other numbers",
                  (np.load(engine.place / "flipped.npy") == numbers).all())
    check("most flips are found", refused > 200)
    print(f"ok: {len(lengths)} truncations, {refused} of 400 flipped files refused, the others the same")


def read_safetensors(file):
    data = Path(file).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    check("data begins at a multiple of 64", (8 + length) % 64 == 0)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        check(f"{name}: F32", entry["dtype"] == "F32")
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return metadata, tensors


def distilled(engine):
    """Loads a model that the engine trained into torch and back."""
    generator = np.random.default_rng(8)
    answers = generator.normal(size=(4, 24)).astype(np.float32)
    labels = generator.integers(0, 4, 40)
    questions = answers[labels] + generator.normal(size=(40, 24)).astype(np.float32)
    for name, array in (("a", answers), ("t", questions), ("l", labels)):
        np.save(engine.place / f"{name}.npy", array)
    store, file = engine.place / "lda.db", engine.place / "t.safetensors"
    for arguments in (
        ("import-embeddings", store, "--model-name", "own", "--answers", engine.place / "a.npy",
         "--questions", engine.place / "t.npy", "--labels", engine.place / "l.npy"),
        ("train", store, "--method", "multi-head", "--force"),
        ("distill", store, "--projection", 1, "--heads", 4, "--layers", 2, "--ff-dim", 32, "--epochs", 3,
         "--samples", 128, "--output", file),
    ):
        done = engine.run(*arguments)
        check(f"{arguments[0]}: {done.stderr}", done.returncode == 0)
    metadata, tensors = read_safetensors(file)
    check("metadata", (metadata["format"], metadata["format_version"], metadata["kind"])
          == ("projection", "1", "transformer"))
    sizes = json.loads(metadata["parameters"])
    model = Transformer(*(sizes[key] for key in SIZES), sizes["dropout"])
    for state in STATES:
        part = {name[len(state) + 1 :]: t for name, t in tensors.items() if name.startswith(state + ".")}
        getattr(model, state).load_state_dict(part)
    queries = queries_for(model, 20)
    exact, _ = expected(model, queries)
    ours = engine.project(file, queries.numpy())
    check(f"the engine's file in torch: off by {distance(ours, exact)}", distance(ours, exact) < TOLERANCE)
    torch.save(model.content(), engine.place / "back.pt")
    back = engine.project(engine.place / "back.pt", queries.numpy())
    check("the same numbers from either file", (back == ours).all())
    print("ok: a distilled model in torch and back")


def write_fixture():
    """Writes a small model with its results in float64, for runtimes without torch."""
    torch.manual_seed(9)
    FIXTURE.mkdir(exist_ok=True)
    model = Transformer(8, 2, 2, 12, 0.1)
    torch.save(model.content(), FIXTURE / "transformer.pt")
    torch.save(model.content(lambda tensor: tensor.to(torch.float16)), FIXTURE / "float16.pt")
    queries = queries_for(model, 6)
    np.save(FIXTURE / "queries.npy", queries.numpy())
    np.save(FIXTURE / "projected.npy", expected(model, queries)[0])


def main():
    if sys.argv[1] == "--fixture":
        return write_fixture()
    torch.manual_seed(4)
    with tempfile.TemporaryDirectory() as name:
        engine = Engine(sys.argv[1], Path(name))
        parity(engine)
        formats(engine)
        hostile(engine)
        distilled(engine)
        queries = np.load(FIXTURE / "queries.npy")
        found = engine.project(FIXTURE / "transformer.pt", queries)
        check("the fixture", distance(found, np.load(FIXTURE / "projected.npy")) < TOLERANCE)
    print(f"{CHECKS} passed, 0 failed")


if __name__ == "__main__":
    main()
