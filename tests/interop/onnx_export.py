"""Exported models in the programs that run them: ONNX Runtime, and the safetensors package.

usage: onnx_export.py PROJECTION_COMMAND MODEL_FOLDER [--cases FOLDER]

`projection export` writes every model of tests/conformance, a transformer made here, and models of
every kind trained on the FAQ to ONNX and to safetensors. The graph must be valid and agree with the
conformance reference and with the engine within 1e-5, for batches of 1, 3 and 32. The safetensors
file must open in the reference implementation, and in the engine it must produce the model's results
bit for bit. --cases stores the graphs, the queries and the engine's results, so that other
languages can compare with them (tests/onnx).
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors import safe_open
from safetensors.numpy import save_file

CONFORMANCE = Path(__file__).resolve().parent.parent / "conformance"
FAQ = CONFORMANCE.parent.parent / "examples" / "faq" / "faq.json"
TOLERANCE = 1e-5
BATCHES = [1, 3, 32]
# Suppresses warnings about constants that the runtime folds.
onnxruntime.set_default_logger_severity(3)


class Engine:
    """The command, a folder for its files, and a folder for stored cases."""

    def __init__(self, command: str, folder: Path, cases: Path | None) -> None:
        self.command, self.folder, self.cases = command, folder, cases
        self.stored: list[dict[str, object]] = []

    def store(self, name: str, kind: str, graph: Path, queries: np.ndarray, direct) -> None:
        """Stores a case: the graph, and little-endian float32 arrays."""
        if self.cases is None:
            return
        projected, weights = direct
        stem = self.cases / str(len(self.stored))
        shutil.copy(graph, f"{stem}.onnx")
        for part, rows in (("queries", queries), ("projected", projected), ("weights", weights)):
            Path(f"{stem}.{part}").write_bytes(rows.astype("<f4").tobytes())
        (n, dim), out, heads = queries.shape, projected.shape[1], weights.shape[1]
        self.stored.append(dict(name=name, kind=kind, n=n, dim=dim, out=out, heads=heads))
        (self.cases / "cases.json").write_text(json.dumps(self.stored, indent=1) + "\n")

    def run(self, *arguments: str) -> dict:
        result = subprocess.run(
            [self.command, "--json", *arguments], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            sys.exit(f"{' '.join(arguments)}: {result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    def project(self, source: list[str], queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        paths = [str(self.folder / name) for name in ("q.npy", "p.npy", "w.npy")]
        np.save(paths[0], queries)
        self.run("project", *source, "--input", paths[0], "--output", paths[1], "--weights", paths[2])
        return np.load(paths[1]), np.load(paths[2])


def close(what: str, found: np.ndarray, expected: np.ndarray, scales: np.ndarray | float) -> float:
    if found.shape != expected.shape:
        sys.exit(f"{what}: shape {found.shape}, expected {expected.shape}")
    error = float((np.abs(found - expected) / scales).max(initial=0.0))
    # Written so that NaN is an error.
    if not error <= TOLERANCE:
        sys.exit(f"{what}: differs by {error:.2e}, expected at most {TOLERANCE}")
    return error


def sizes(rows: np.ndarray) -> np.ndarray:
    """The largest component of each row; errors are relative to it."""
    return np.abs(rows).max(axis=1, keepdims=True)


def check_onnx(
    name: str, path: Path, queries: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> float:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    routes = expected[1].shape[1] > 0
    if outputs != (["projected", "weights"] if routes else ["projected"]):
        sys.exit(f"{name}: outputs {outputs}")
    worst = 0.0
    for n in BATCHES:
        rows = np.resize(np.arange(len(queries)), n)
        results = session.run(None, {"query": queries[rows]})
        projected = expected[0][rows]
        worst = max(worst, close(f"{name}, {n} queries", results[0], projected, sizes(projected)))
        if routes:
            what = f"{name}, weights of {n} queries"
            worst = max(worst, close(what, results[1], expected[1][rows], 1.0))
    return worst


def check_model(
    engine: Engine,
    name: str,
    export: list[str],
    source: list[str],
    queries: np.ndarray,
    reference: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    """Exports a model to both formats and checks them. `source` are the arguments of `project`."""
    direct = engine.project(source, queries)
    file, graph = engine.folder / "m.safetensors", engine.folder / "m.onnx"
    engine.run("export", *export, "--output", str(file))
    report = engine.run("export", *export, "--format", "onnx", "--output", str(graph))
    if report["bytes"] != graph.stat().st_size:
        sys.exit(f"{name}: {report['bytes']} bytes reported, the file has {graph.stat().st_size}")
    from_file = engine.project(["--model", str(file)], queries)
    if not all(np.array_equal(a, b) for a, b in zip(direct, from_file)):
        sys.exit(f"{name}: the exported file projects differently")
    with safe_open(file, framework="np") as opened:
        metadata = opened.metadata()
        if metadata["format"] != "projection" or metadata["kind"] != report["kind"]:
            sys.exit(f"{name}: metadata {metadata}")
        for tensor in opened.keys():
            if not np.isfinite(opened.get_tensor(tensor)).all():
                sys.exit(f"{name}: tensor {tensor} is not finite")
    worst = check_onnx(name, graph, queries, direct)
    engine.store(name, report["kind"], graph, queries, direct)
    if reference is not None:
        worst = max(worst, check_onnx(f"{name}, reference", graph, queries, reference))
    return worst


def conformance_models(engine: Engine) -> None:
    worst: dict[str, float] = {}
    for listing, folder in [("cases.txt", "cases"), ("kinds.txt", "kinds")]:
        for line in (CONFORMANCE / listing).read_text().splitlines():
            if line.startswith("#"):
                continue
            name, kind, path, model_id, temperature, *_ = line.split(" ")
            case = CONFORMANCE / folder / name
            queries = np.load(case / "queries.npy")
            projected = np.load(case / "projected.npy")
            weights = case / "weights.npy"
            weights = np.load(weights) if weights.exists() else np.zeros((len(queries), 0))
            routing = [] if temperature == "-" else ["--temperature", temperature]
            path = str(CONFORMANCE / path)
            if kind == "db":
                export, source = [path, "--projection", model_id], ["--db", path, "--id", model_id]
            else:
                export = ["--embeddings", path, "--projection", model_id, *routing]
                source = ["--embeddings", path, "--id", model_id, *routing]
            if kind == "linear":
                routing = []
            error = check_model(engine, name, export, source, queries, (projected, weights))
            kind = "multi_head" if kind in ("db", "dir") else kind
            worst[kind] = max(worst.get(kind, 0.0), error)
    for kind, error in worst.items():
        print(f"ok      {kind} models of the conformance data, at most {error:.1e} from the reference")


def transformer(engine: Engine) -> None:
    random = np.random.default_rng(7)
    d, out, h, f, layers = 24, 20, 32, 64, 2

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    tensors = {"input_proj.weight": normal(h, d), "input_proj.bias": normal(h)}
    for layer in range(layers):
        prefix = f"encoder.layers.{layer}."
        parts = {
            "self_attn.in_proj_weight": (3 * h, h),
            "self_attn.in_proj_bias": (3 * h,),
            "self_attn.out_proj.weight": (h, h),
            "self_attn.out_proj.bias": (h,),
            "linear1.weight": (f, h),
            "linear1.bias": (f,),
            "linear2.weight": (h, f),
            "linear2.bias": (h,),
            "norm1.weight": (h,),
            "norm1.bias": (h,),
            "norm2.weight": (h,),
            "norm2.bias": (h,),
        }
        tensors |= {prefix + name: normal(*shape) for name, shape in parts.items()}
        for norm in ("norm1.weight", "norm2.weight"):
            tensors[prefix + norm] += 1
    tensors |= {"output_proj.weight": normal(out, h), "output_proj.bias": normal(out)}
    sizes = {"embed_dim": h, "num_heads": 4, "num_layers": layers, "ff_dim": f, "dropout": 0.1}
    parameters = {"kind": "transformer", **sizes}
    metadata = {
        "format": "projection",
        "format_version": "1",
        "kind": "transformer",
        "parameters": json.dumps(parameters),
    }
    # Written by the reference implementation, whose files differ slightly from the engine's.
    path = engine.folder / "transformer.safetensors"
    save_file(tensors, path, metadata)
    queries = random.standard_normal((40, d)).astype(np.float32)
    source = ["--model", str(path)]
    error = check_model(engine, "transformer", source, source, queries, None)
    print(f"ok      transformer, at most {error:.1e} from the engine")


def faq(engine: Engine, model_folder: str) -> None:
    database = str(engine.folder / "lda.db")
    engine.run("import", database, str(FAQ))
    engine.run("embed", database, "--model-dir", model_folder)
    for method in ["residual", "multi-head", "linear"]:
        # Forced, because this script compares files, not quality.
        engine.run("train", database, "--method", method, "--force")
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    ids = connection.execute(
        "SELECT mh_projection_id FROM multi_head_projections UNION "
        "SELECT projection_id FROM projections ORDER BY 1"
    ).fetchall()
    rows = connection.execute(
        "SELECT vector_path FROM embeddings WHERE entity_type = 'question' ORDER BY entity_id LIMIT 50"
    )
    folder = Path(database).parent
    queries = np.stack([np.load(folder / path).ravel() for (path,) in rows]).astype(np.float32)
    if len(ids) != 3:
        sys.exit(f"{database}: {len(ids)} projections, expected 3")
    for (number,) in ids:
        export = [database, "--projection", str(number)]
        source = ["--db", database, "--id", str(number)]
        error = check_model(engine, f"FAQ {number}", export, source, queries, None)
        print(f"ok      projection {number} of the FAQ, at most {error:.1e} from the engine")


def main() -> None:
    command, model_folder, *rest = sys.argv[1:]
    cases = Path(rest[1]) if rest[:1] == ["--cases"] and len(rest) == 2 else None
    if rest and cases is None:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(command, Path(folder), cases)
        conformance_models(engine)
        transformer(engine)
        faq(engine, model_folder)


if __name__ == "__main__":
    main()
