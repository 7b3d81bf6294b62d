"""Makes damaged stores and text models out of good ones.

usage: make_fixtures.py CONFORMANCE_FOLDER MODEL_FOLDER OUTPUT_FOLDER

OUTPUT_FOLDER/stores holds variants of legacy_store/lda.db beside its array files, and
OUTPUT_FOLDER/embedders folders of text models.
"""

import shutil
import sqlite3
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


def main() -> None:
    conformance, model, target = map(Path, sys.argv[1:])
    if not (model / "model.safetensors").is_file():
        sys.exit(f"the tests need the text model in {model}: run `make model`")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make_stores(conformance / "legacy_store", target / "stores")
    make_embedders(model, target / "embedders")


if __name__ == "__main__":
    main()
