"""Makes damaged stores and embedding models out of good ones.

usage: make_fixtures.py CONFORMANCE_FOLDER MODEL_FOLDER OUTPUT_FOLDER

OUTPUT_FOLDER/stores holds variants of legacy_store/lda.db beside its array files,
OUTPUT_FOLDER/embedders folders of embedding models, and OUTPUT_FOLDER/training what to train on.
"""

import json
import random
import shutil
import sqlite3
import struct
import sys
from pathlib import Path

# Every statement is what a program or an accident could do to a store.
STORES = {
    "newer": ["PRAGMA user_version = 99"],
    "no_table": ["DROP TABLE cluster_heads"],
    "no_column": [
        "CREATE TABLE kept AS SELECT mh_projection_id, model_id, name FROM multi_head_projections",
        "DROP TABLE multi_head_projections",
        "ALTER TABLE kept RENAME TO multi_head_projections",
    ],
    "zero_temperature": ["UPDATE multi_head_projections SET temperature = 0"],
    "text_temperature": ["UPDATE multi_head_projections SET temperature = 'warm'"],
    "no_heads": ["DELETE FROM cluster_heads"],
    "missing_head": ["UPDATE cluster_heads SET centroid_path = 'gone.npy' WHERE cluster_id = 3"],
    "outside_head": ["UPDATE cluster_heads SET answer_emb_path = '/dev/zero' WHERE cluster_id = 3"],
    "two_models": [
        "INSERT INTO embedding_models (model_id, name, dimension) VALUES (77, 'other-model', 32)",
        "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path)"
        " SELECT 77, entity_type, entity_id, vector_path FROM embeddings WHERE model_id <> 77",
    ],
    "no_vectors": ["DELETE FROM embeddings"],
    "missing_vector": [
        "UPDATE embeddings SET vector_path = 'gone.npy' WHERE entity_type = 'answer'"
    ],
    "other_dimension": ["UPDATE embedding_models SET dimension = 31"],
    "text_with_nul": ["UPDATE answers SET text = 'be' || char(0) || 'fore'"],
}


def make_stores(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    database = target / "lda.db"
    for name, statements in STORES.items():
        path = target / f"{name}.db"
        shutil.copyfile(database, path)
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    connection = sqlite3.connect(target / "other_program.db")
    connection.execute("CREATE TABLE notes (text)")
    connection.commit()
    connection.close()
    whole = database.read_bytes()
    (target / "cut.db").write_bytes(whole[: len(whole) // 2])
    (target / "empty.db").write_bytes(b"")
    (target / "text.db").write_text("This is not a database, but it is long enough.\n" * 99)


def make_embedders(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ["no_weights", "cut_weights", "foreign_network", "no_tokenizer"]:
        shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("*.safetensors"))
    with open(source / "model.safetensors", "rb") as weights:
        (target / "cut_weights/model.safetensors").write_bytes(weights.read(20_000))
    config = (source / "config.json").read_text()
    assert '"bert"' in config
    (target / "foreign_network/config.json").write_text(config.replace('"bert"', '"gpt2"'))
    (target / "no_tokenizer/tokenizer.json").unlink()


def write_npy(path: Path, dtype: str, shape: tuple[int, ...], values: list) -> None:
    header = str({"descr": f"<{dtype}", "fortran_order": False, "shape": shape})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    code = {"f4": "f", "i8": "q"}[dtype]
    data = struct.pack(f"<{len(values)}{code}", *values)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def make_training(target: Path) -> None:
    target.mkdir()
    numbers = random.Random(0)
    answers = [[numbers.gauss(0, 1) for _ in range(8)] for _ in range(6)]
    # Questions lie to one side of their answers, which is worth learning.
    side = [2.5, -2.5] * 4
    questions = [
        [value + away + numbers.gauss(0, 0.3) for value, away in zip(answers[row % 6], side)]
        for row in range(30)
    ]
    write_npy(target / "answers.npy", "f4", (6, 8), sum(answers, []))
    write_npy(target / "questions.npy", "f4", (30, 8), sum(questions, []))
    write_npy(target / "labels.npy", "i8", (30,), [row % 6 for row in range(30)])
    pair = {"answer_id": "greeting", "answer": "Hello.", "questions": ["How to greet?"]}
    (target / "pairs.json").write_text(json.dumps({"clusters": [pair]}))


def main() -> None:
    conformance, model, target = map(Path, sys.argv[1:])
    if not (model / "model.safetensors").is_file():
        sys.exit(f"the tests need the embedding model in {model}: run `make model`")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make_stores(conformance / "legacy_store", target / "stores")
    make_embedders(model, target / "embedders")
    make_training(target / "training")


if __name__ == "__main__":
    main()
