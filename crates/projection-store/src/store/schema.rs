//! The tables of `lda.db`, schema version 1, and the engine's own.
//!
//! Existing programs share the database: their tables are never altered. What the engine
//! needs beside them is in tables of its own, whose names begin with `engine_` and which
//! are made the first time they are needed.

use std::path::Path;

use rusqlite::Connection;

use super::sql_error;
use crate::error::{Error, ErrorKind, Result};

/// The version that this engine writes. Databases of other programs have 0, never set.
const VERSION: i64 = 1;

/// Every table with its columns: what a database must have to be a store.
const TABLES: &[(&str, &str)] = &[
    (
        "answers",
        "answer_id parent_id source_file record_id text text_variant chunk_index created_at",
    ),
    ("answer_relations", "relation_id from_answer_id to_answer_id relation_type metadata"),
    ("questions", "question_id text length_type created_at"),
    ("qa_clusters", "cluster_id name description created_at"),
    ("cluster_answers", "cluster_id answer_id"),
    ("cluster_questions", "cluster_id question_id"),
    ("embedding_models", "model_id name dimension backend max_tokens notes"),
    ("embeddings", "embedding_id model_id entity_type entity_id vector_path created_at"),
    (
        "projections",
        "projection_id input_model_id output_model_id name W_path lambda_reg ridge num_clusters \
         num_queries recall_at_1 mrr created_at",
    ),
    ("projection_clusters", "projection_id cluster_id"),
    (
        "query_log",
        "log_id query_text model_id projection_id results selected_answer_id was_helpful \
         created_at",
    ),
    (
        "training_batches",
        "batch_id source_file file_hash status model_name num_clusters num_questions \
         projection_id started_at completed_at error_message created_at",
    ),
    ("batch_status_history", "history_id batch_id status message created_at"),
    (
        "multi_head_projections",
        "mh_projection_id model_id name temperature num_heads recall_at_1 mrr created_at",
    ),
    (
        "cluster_heads",
        "head_id mh_projection_id cluster_id centroid_path answer_emb_path W_path num_questions \
         created_at",
    ),
];

const DEFINITION: &str = "
CREATE TABLE answers (
    answer_id INTEGER PRIMARY KEY,
    parent_id INTEGER REFERENCES answers(answer_id),
    source_file TEXT NOT NULL,
    record_id TEXT,
    text TEXT NOT NULL,
    text_variant TEXT DEFAULT 'default',
    chunk_index INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE answer_relations (
    relation_id INTEGER PRIMARY KEY,
    from_answer_id INTEGER NOT NULL REFERENCES answers(answer_id),
    to_answer_id INTEGER NOT NULL REFERENCES answers(answer_id),
    relation_type TEXT NOT NULL,
    metadata TEXT,
    UNIQUE (from_answer_id, to_answer_id, relation_type)
);
CREATE TABLE questions (
    question_id INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    length_type TEXT CHECK (length_type IN ('short', 'medium', 'long')),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE qa_clusters (
    cluster_id INTEGER PRIMARY KEY,
    name TEXT,
    description TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE cluster_answers (
    cluster_id INTEGER NOT NULL REFERENCES qa_clusters(cluster_id),
    answer_id INTEGER NOT NULL REFERENCES answers(answer_id),
    PRIMARY KEY (cluster_id, answer_id)
);
CREATE TABLE cluster_questions (
    cluster_id INTEGER NOT NULL REFERENCES qa_clusters(cluster_id),
    question_id INTEGER NOT NULL REFERENCES questions(question_id),
    PRIMARY KEY (cluster_id, question_id)
);
CREATE TABLE embedding_models (
    model_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    dimension INTEGER NOT NULL,
    backend TEXT,
    max_tokens INTEGER,
    notes TEXT
);
CREATE TABLE embeddings (
    embedding_id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES embedding_models(model_id),
    entity_type TEXT NOT NULL CHECK (entity_type IN ('answer', 'question')),
    entity_id INTEGER NOT NULL,
    vector_path TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (model_id, entity_type, entity_id)
);
CREATE TABLE projections (
    projection_id INTEGER PRIMARY KEY,
    input_model_id INTEGER NOT NULL REFERENCES embedding_models(model_id),
    output_model_id INTEGER NOT NULL REFERENCES embedding_models(model_id),
    name TEXT,
    W_path TEXT NOT NULL,
    lambda_reg REAL,
    ridge REAL,
    num_clusters INTEGER,
    num_queries INTEGER,
    recall_at_1 REAL,
    mrr REAL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE projection_clusters (
    projection_id INTEGER NOT NULL REFERENCES projections(projection_id),
    cluster_id INTEGER NOT NULL REFERENCES qa_clusters(cluster_id),
    PRIMARY KEY (projection_id, cluster_id)
);
CREATE TABLE query_log (
    log_id INTEGER PRIMARY KEY,
    query_text TEXT NOT NULL,
    model_id INTEGER REFERENCES embedding_models(model_id),
    projection_id INTEGER REFERENCES projections(projection_id),
    results TEXT,
    selected_answer_id INTEGER REFERENCES answers(answer_id),
    was_helpful BOOLEAN,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE training_batches (
    batch_id INTEGER PRIMARY KEY,
    source_file TEXT NOT NULL,
    file_hash TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'importing', 'embedding', 'training', 'completed', 'failed')),
    model_name TEXT,
    num_clusters INTEGER,
    num_questions INTEGER,
    projection_id INTEGER REFERENCES projections(projection_id),
    started_at TIMESTAMP,
    completed_at TIMESTAMP,
    error_message TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (source_file, file_hash)
);
CREATE TABLE batch_status_history (
    history_id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES training_batches(batch_id),
    status TEXT NOT NULL,
    message TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE multi_head_projections (
    mh_projection_id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES embedding_models(model_id),
    name TEXT,
    temperature REAL DEFAULT 1.0,
    num_heads INTEGER,
    recall_at_1 REAL,
    mrr REAL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE cluster_heads (
    head_id INTEGER PRIMARY KEY,
    mh_projection_id INTEGER NOT NULL REFERENCES multi_head_projections(mh_projection_id),
    cluster_id INTEGER NOT NULL REFERENCES qa_clusters(cluster_id),
    centroid_path TEXT NOT NULL,
    answer_emb_path TEXT NOT NULL,
    W_path TEXT,
    num_questions INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (mh_projection_id, cluster_id)
);
CREATE INDEX idx_embeddings_entity ON embeddings(model_id, entity_type, entity_id);
CREATE INDEX idx_answer_relations_from ON answer_relations(from_answer_id);
CREATE INDEX idx_answer_relations_to ON answer_relations(to_answer_id);
CREATE INDEX idx_answer_relations_type ON answer_relations(relation_type);
";

/// The rows that each imported file brought, so that a changed file replaces its own only;
/// vector files that a committed change has no more use for; the other files of a batch of
/// vectors; the logged queries whose feedback was used, with the question that they became;
/// and of trained models what the tables above have no columns for. The id of a model is
/// that of its row in `multi_head_projections`, or in `projections` where it is linear.
const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS engine_imports (
    source_file TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    PRIMARY KEY (source_file, entity_type, entity_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS engine_discarded_files (
    vector_path TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS engine_vector_batches (
    batch_id INTEGER PRIMARY KEY,
    model_name TEXT NOT NULL,
    questions_file TEXT NOT NULL,
    labels_file TEXT NOT NULL,
    texts_file TEXT
);
CREATE TABLE IF NOT EXISTS engine_feedback (
    log_id INTEGER PRIMARY KEY,
    question_id INTEGER
);
CREATE TABLE IF NOT EXISTS engine_sources (
    source_file TEXT PRIMARY KEY,
    batch_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS engine_models (
    mh_projection_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    parameters TEXT NOT NULL,
    metrics TEXT
);
";

/// Makes all tables in an empty database.
pub(super) fn create(connection: &Connection, path: &Path) -> Result<()> {
    let script = format!("BEGIN IMMEDIATE; {DEFINITION} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&script).map_err(|error| sql_error(path, "creating", error))
}

/// Tables that the first programs of this schema did not know: their databases are whole
/// without them. They have no indexes.
const LATER_TABLES: [&str; 4] =
    ["training_batches", "batch_status_history", "multi_head_projections", "cluster_heads"];

/// Makes those of the tables that databases of early programs lack. Databases of which
/// another table is missing are no stores, and stay as they are.
pub(super) fn complete(connection: &Connection, path: &Path) -> Result<()> {
    let exists = |table: &str| {
        connection
            .query_row(
                "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1",
                [table],
                |row| row.get::<_, bool>(0),
            )
            .map_err(|error| sql_error(path, "reading", error))
    };
    let mut script = String::new();
    for (table, _) in TABLES {
        match (exists(table)?, LATER_TABLES.contains(table)) {
            (true, _) => {}
            (false, true) => script += &definition_of(table),
            (false, false) => return Ok(()),
        }
    }
    if script.is_empty() {
        return Ok(());
    }
    // Another process may be doing the same.
    let script = script.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS");
    connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {script} COMMIT;"))
        .map_err(|error| sql_error(path, "writing to", error))
}

/// The statement of [`DEFINITION`] that makes `table`.
fn definition_of(table: &str) -> String {
    let begin = format!("CREATE TABLE {table} (");
    let statement = DEFINITION.split_inclusive(";\n").find(|part| part.trim().starts_with(&begin));
    statement.expect("every table has its statement").to_string()
}

/// Makes the engine's own tables where they are missing.
pub(super) fn create_own_tables(connection: &Connection, path: &Path) -> Result<()> {
    connection.execute_batch(OWN_TABLES).map_err(|error| sql_error(path, "writing to", error))
}

/// Whether the database has no tables at all.
pub(super) fn is_empty(connection: &Connection, path: &Path) -> Result<bool> {
    connection
        .query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))
        .map_err(|error| sql_error(path, "reading", error))
}

/// Checks that the database is a store of a version that the engine knows.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<()> {
    let reading = |error| sql_error(path, "reading", error);
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(reading)?;
    let invalid =
        |what: String| Error::new(ErrorKind::InvalidStore, format!("{}: {what}", path.display()));
    if version > VERSION {
        return Err(invalid(format!(
            "schema version {version}, newer than {VERSION}, the newest that this engine knows"
        )));
    }
    let mut columns_of =
        connection.prepare("SELECT name FROM pragma_table_info(?1)").map_err(reading)?;
    for (table, columns) in TABLES {
        let found: Vec<String> = columns_of
            .query_map([table], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(reading)?;
        if found.is_empty() {
            return Err(invalid(format!("not a projection store, the table '{table}' is missing")));
        }
        let missing: Vec<&str> = columns
            .split_whitespace()
            .filter(|column| !found.iter().any(|name| name.eq_ignore_ascii_case(column)))
            .collect();
        if !missing.is_empty() {
            return Err(invalid(format!(
                "damaged schema, the table '{table}' lacks the column {}",
                missing.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_of_early_programs_get_the_later_tables_and_others_stay_as_they_are() {
        let path = Path::new("test");
        let tables = |connection: &Connection| -> i64 {
            connection
                .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
                .unwrap()
        };
        let whole = Connection::open_in_memory().unwrap();
        create(&whole, path).unwrap();
        let early = Connection::open_in_memory().unwrap();
        create(&early, path).unwrap();
        for table in LATER_TABLES {
            early.execute_batch(&format!("DROP TABLE {table}")).unwrap();
        }
        assert!(check(&early, path).is_err());
        complete(&early, path).unwrap();
        check(&early, path).unwrap();
        assert_eq!(tables(&early), tables(&whole));
        complete(&early, path).unwrap();

        early.execute_batch("DROP TABLE cluster_heads; DROP TABLE questions").unwrap();
        let before = tables(&early);
        complete(&early, path).unwrap();
        assert_eq!(tables(&early), before);
    }
}
