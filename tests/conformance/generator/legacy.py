"""legacy_store/: a store as the existing Python code writes it.

All files lie directly in `embeddings/`; centroids are float64, answers float32; paths in
the database are as the writer's configuration had them, and most no longer resolve. The
table definitions state the facts of schema version 1.
"""

import os
import sqlite3

import numpy as np

from . import npyfile
from .cases import Case
from .models import Head, Model, related
from .numbers import Stream, dot, matvec, softmax, unit

FOLDER = "legacy_store"
MODEL_NAME = "toy-minilm"
DIM = 32
TIME = "2025-01-14 09:30:00"
# The kinds of paths in the database: absolute on another machine; relative to the working directory
# of the program that wrote them; relative to the database.
ABSOLUTE = "/home/someone/project/embeddings"
FROM_WORKING_DIRECTORY = "playbooks/lda-training-data/embeddings"
FROM_DATABASE = "embeddings"
PLACES = [ABSOLUTE, FROM_WORKING_DIRECTORY, FROM_DATABASE]

CREATED = "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP"
TABLES = {
    "answers": f"answer_id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES answers(answer_id), "
    f"source_file TEXT NOT NULL, record_id TEXT, text TEXT NOT NULL, "
    f"text_variant TEXT DEFAULT 'default', chunk_index INTEGER, {CREATED}",
    "answer_relations": "relation_id INTEGER PRIMARY KEY, "
    "from_answer_id INTEGER REFERENCES answers(answer_id), "
    "to_answer_id INTEGER REFERENCES answers(answer_id), relation_type TEXT NOT NULL, "
    "metadata TEXT, UNIQUE(from_answer_id, to_answer_id, relation_type)",
    "questions": f"question_id INTEGER PRIMARY KEY, text TEXT NOT NULL, "
    f"length_type TEXT CHECK(length_type IN ('short', 'medium', 'long')), {CREATED}",
    "qa_clusters": f"cluster_id INTEGER PRIMARY KEY, name TEXT, description TEXT, {CREATED}",
    "cluster_answers": "cluster_id INTEGER REFERENCES qa_clusters(cluster_id), "
    "answer_id INTEGER REFERENCES answers(answer_id), PRIMARY KEY (cluster_id, answer_id)",
    "cluster_questions": "cluster_id INTEGER REFERENCES qa_clusters(cluster_id), "
    "question_id INTEGER REFERENCES questions(question_id), PRIMARY KEY (cluster_id, question_id)",
    "embedding_models": "model_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "dimension INTEGER NOT NULL, backend TEXT, max_tokens INTEGER, notes TEXT",
    "embeddings": f"embedding_id INTEGER PRIMARY KEY, "
    f"model_id INTEGER REFERENCES embedding_models(model_id), "
    f"entity_type TEXT CHECK(entity_type IN ('answer', 'question')), entity_id INTEGER, "
    f"vector_path TEXT NOT NULL, {CREATED}, UNIQUE(model_id, entity_type, entity_id)",
    "projections": f"projection_id INTEGER PRIMARY KEY, "
    f"input_model_id INTEGER REFERENCES embedding_models(model_id), "
    f"output_model_id INTEGER REFERENCES embedding_models(model_id), name TEXT, "
    f"W_path TEXT NOT NULL, lambda_reg REAL, ridge REAL, num_clusters INTEGER, "
    f"num_queries INTEGER, recall_at_1 REAL, mrr REAL, {CREATED}",
    "projection_clusters": "projection_id INTEGER REFERENCES projections(projection_id), "
    "cluster_id INTEGER REFERENCES qa_clusters(cluster_id), "
    "PRIMARY KEY (projection_id, cluster_id)",
    "query_log": f"log_id INTEGER PRIMARY KEY, query_text TEXT NOT NULL, "
    f"model_id INTEGER REFERENCES embedding_models(model_id), "
    f"projection_id INTEGER REFERENCES projections(projection_id), results TEXT, "
    f"selected_answer_id INTEGER, was_helpful BOOLEAN, {CREATED}",
    "training_batches": f"batch_id INTEGER PRIMARY KEY, source_file TEXT NOT NULL, "
    f"file_hash TEXT NOT NULL, status TEXT CHECK(status IN ('pending', 'importing', "
    f"'embedding', 'training', 'completed', 'failed')), model_name TEXT, num_clusters INTEGER, "
    f"num_questions INTEGER, projection_id INTEGER REFERENCES projections(projection_id), "
    f"started_at TIMESTAMP, completed_at TIMESTAMP, error_message TEXT, {CREATED}, "
    f"UNIQUE(source_file, file_hash)",
    "batch_status_history": f"history_id INTEGER PRIMARY KEY, "
    f"batch_id INTEGER REFERENCES training_batches(batch_id), status TEXT NOT NULL, "
    f"message TEXT, {CREATED}",
    "multi_head_projections": f"mh_projection_id INTEGER PRIMARY KEY, "
    f"model_id INTEGER REFERENCES embedding_models(model_id), name TEXT, "
    f"temperature REAL DEFAULT 1.0, num_heads INTEGER, recall_at_1 REAL, mrr REAL, {CREATED}",
    "cluster_heads": f"head_id INTEGER PRIMARY KEY, "
    f"mh_projection_id INTEGER REFERENCES multi_head_projections(mh_projection_id), "
    f"cluster_id INTEGER REFERENCES qa_clusters(cluster_id), centroid_path TEXT NOT NULL, "
    f"answer_emb_path TEXT NOT NULL, W_path TEXT, num_questions INTEGER, {CREATED}, "
    f"UNIQUE(mh_projection_id, cluster_id)",
    # A table of another program, which must stay unchanged.
    "team_notes": "note_id INTEGER PRIMARY KEY, author TEXT, note TEXT",
}
INDEXES = {
    "idx_embeddings_entity": "embeddings(model_id, entity_type, entity_id)",
    "idx_relations_from": "answer_relations(from_answer_id)",
    "idx_relations_to": "answer_relations(to_answer_id)",
    "idx_relations_type": "answer_relations(relation_type)",
}

CLUSTERS = [n for n in range(1, 17) if n != 6]  # cluster 6 was deleted
WITHOUT_QUESTIONS, WITHOUT_EMBEDDED_ANSWER = 9, 14  # and so without a head
TWO_ANSWERS = (4, 12)  # their head's answer is the normalised mean
TOPICS = ("csv sources", "json output", "pipes", "recursion", "indexes", "caching", "joins",
          "logging", "auth", "streams", "batches", "retries", "schemas", "paths", "types")


class Store:
    """Writes the database and the files beside it."""

    def __init__(self, root):
        self.root = f"{root}/{FOLDER}"
        os.makedirs(f"{self.root}/embeddings")
        self.db = sqlite3.connect(f"{self.root}/lda.db")
        for name, columns in TABLES.items():
            self.db.execute(f"CREATE TABLE {name} ({columns})")
        for name, columns in INDEXES.items():
            self.db.execute(f"CREATE INDEX {name} ON {columns}")

    def add(self, table, **row):
        if CREATED in TABLES[table]:
            row["created_at"] = TIME
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
        return self.db.execute(sql, list(row.values())).lastrowid

    def save(self, place, name, array):
        """Saves an array with NumPy and returns its path in the database."""
        np.save(f"{self.root}/embeddings/{name}", array)
        return f"{place}/{name}"

    def embed(self, entity, number, vector):
        path = self.save(PLACES[number % 3], f"{entity}_{number}_model_1.npy", vector)
        self.add("embeddings", model_id=1, entity_type=entity, entity_id=number, vector_path=path)
        return vector


def centroid(questions):
    """The weighted mean as the trainer computes it, in float64."""
    weights = np.full(len(questions), 1.0 / len(questions))
    for _ in range(3):
        mean = unit(matvec(np.array(questions).T, weights))
        weights = softmax([dot(question, mean) for question in questions], 1.0)
    return mean


def fill(store):
    """Answers, questions, clusters and embeddings; returns vectors by answer and by cluster."""
    stream = Stream("legacy")
    directions = related(stream, DIM)
    store.add("embedding_models", name=MODEL_NAME, dimension=DIM, backend="sentence-transformers",
              max_tokens=256, notes="A toy of 32 dimensions")
    pool, members = {}, {}
    for cluster, topic in zip(CLUSTERS, TOPICS):
        store.add("qa_clusters", cluster_id=cluster, name=topic.replace(" ", "_"),
                  description=f"Questions about {topic}")
        direction = next(directions)
        vectors = {"answer": [], "question": []}
        for i in range(2 if cluster in TWO_ANSWERS else 1):
            answer = store.add("answers", source_file=f"docs/{cluster:02}.md",
                               record_id=f"doc_{cluster:03}_{i}", text=f"How {topic} work, part {i + 1}.")
            store.add("cluster_answers", cluster_id=cluster, answer_id=answer)
            if cluster != WITHOUT_EMBEDDED_ANSWER:
                vector = unit(direction + 0.9 * stream.unit(DIM)).astype("<f4")
                pool[answer] = store.embed("answer", answer, vector)
                vectors["answer"].append(vector)
        for i in range(0 if cluster == WITHOUT_QUESTIONS else 2 + cluster % 3):
            question = store.add("questions", text=f"What about {topic}? ({i + 1})",
                                 length_type=("short", "medium", "long")[i % 3])
            store.add("cluster_questions", cluster_id=cluster, question_id=question)
            vector = unit(direction + 0.7 * stream.unit(DIM)).astype("<f4")
            vectors["question"].append(store.embed("question", question, vector))
        members[cluster] = vectors
    relate(store, pool, stream)
    return pool, members


def relate(store, pool, stream):
    """Versions of the first answers: embedded, in no cluster, one of them an exact duplicate."""
    kinds = [("chunk_of", 1), ("summarizes", 2), ("abbreviates", 3), ("variant_of", 4),
             ("translates", 5)]
    for kind, original in kinds:
        variant = MODEL_NAME if kind == "variant_of" else "default"
        answer = store.add("answers", parent_id=original if kind == "chunk_of" else None,
                           source_file="docs/versions.md", record_id=f"{kind}_{original}",
                           text=f"A text that {kind} answer {original}.", text_variant=variant,
                           chunk_index=0 if kind == "chunk_of" else None)
        store.add("answer_relations", from_answer_id=answer, to_answer_id=original,
                  relation_type=kind,
                  metadata='{"language": "de"}' if kind == "translates" else None)
        vector = pool[original]
        if kind != "variant_of":
            vector = unit(vector + 0.6 * stream.unit(DIM)).astype("<f4")
        pool[answer] = store.embed("answer", answer, vector)


def train(store, members, number, temperature, place, matrices=()):
    """One multi-head projection; `matrices` names the clusters whose head gets a W."""
    stream = Stream(f"legacy W {number}")
    heads = []
    store.add("multi_head_projections", mh_projection_id=number, model_id=1,
              name=f"multi_head_{MODEL_NAME}", temperature=temperature)
    for cluster, vectors in members.items():
        answers, questions = vectors["answer"], vectors["question"]
        if not answers or not questions:
            continue
        answer = answers[0]
        if len(answers) > 1:
            mean = (answers[0].astype(np.float64) + answers[1]) / 2
            answer = unit(mean).astype("<f4")
        W = None
        if cluster in matrices:
            W = np.eye(DIM) + 0.1 * stream.uniform(DIM, DIM)
        head = Head(cluster, centroid(questions), answer.astype(np.float64), W)
        name = f"mh_{number}_cluster_{cluster}"
        store.add("cluster_heads", mh_projection_id=number, cluster_id=cluster,
                  centroid_path=store.save(place, f"{name}_centroid.npy", head.centroid),
                  answer_emb_path=store.save(place, f"{name}_answer.npy", answer),
                  W_path=None if W is None else store.save(place, f"{name}_W.npy", W),
                  num_questions=len(questions))
        heads.append(head)
    store.db.execute("UPDATE multi_head_projections SET num_heads = ?, recall_at_1 = ?, mrr = ? "
                     "WHERE mh_projection_id = ?", (len(heads), 0.75, 0.8125, number))
    return Model(f"{FOLDER}/embeddings", number, heads)


def add_history(store):
    """Rows in the tables that inference does not read."""
    W = np.eye(DIM) * 0.5
    store.add("projections", input_model_id=1, output_model_id=1, name="global",
              W_path=store.save(ABSOLUTE, "W_projection_1.npy", W), lambda_reg=1.0, ridge=1e-6,
              num_clusters=13, num_queries=40, recall_at_1=0.5, mrr=0.625)
    store.add("projection_clusters", projection_id=1, cluster_id=1)
    store.add("query_log", query_text="how do pipes work", model_id=1, projection_id=1,
              results="[3, 1, 2]", selected_answer_id=3, was_helpful=1)
    store.add("training_batches", source_file="qa/toy.json", file_hash="0" * 64,
              status="completed", model_name=MODEL_NAME, num_clusters=13, num_questions=40,
              started_at=TIME, completed_at=TIME)
    for status in ("pending", "importing", "embedding", "completed"):
        store.add("batch_status_history", batch_id=1, status=status)
    store.add("team_notes", author="someone", note="Retrain in spring.")


def build(root):
    """Writes the store and returns its cases."""
    store = Store(root)
    pool, members = fill(store)
    models = [
        train(store, members, 1, 1.0, ABSOLUTE),
        train(store, members, 2, 0.1, FROM_WORKING_DIRECTORY),
        train(store, members, 3, 0.1, FROM_DATABASE, matrices=(2, 10, 16)),
    ]
    add_history(store)
    store.db.commit()
    store.db.close()
    answers = (list(pool), np.array(list(pool.values())))
    names = {1: "legacy-absolute", 2: "legacy-working_directory", 3: "legacy-database"}
    temperatures = {1: 1.0, 2: 0.1, 3: 0.1}
    cases = [
        Case(names[model.id], model, temperatures[model.id], source="db",
             path=f"{FOLDER}/lda.db", embedding_model=MODEL_NAME, pool=answers)
        for model in models
    ]
    # The same files without the database, at another temperature than the row's.
    cases += [Case(f"legacy-folder-{model.id}", model, 0.02, pool=answers) for model in models]
    return cases
