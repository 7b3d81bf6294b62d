//! The tables of `lda.db`, schema version 1, and those of our own.
//!
//! Existing programs share the database: their tables are never altered. What we need beside
//! them is in tables whose names begin with `engine_`, made the first time they are needed.

use projection_core::{ErrorKind, Result};

use crate::store::{Change, Store};

/// The version that we write. Databases of other programs have 0, never set.
const VERSION: i64 = 1;

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

/// Tables of our own: which rows each imported file brought, so that a changed file replaces
/// only its own; files that a committed change has no more use for; the files of a batch of
/// precomputed embeddings; logged queries whose feedback was used, with the question that they
/// became; what decides the vectors of each embedding model; which of them embed answers with their
/// titles; what the tables above have no columns
/// for in a trained model and in an answer; and which models were activated, the present ones last.
/// The id of a model is that of its row in `multi_head_projections`, or in `projections` if it is
/// linear.
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
CREATE TABLE IF NOT EXISTS engine_embedding_models (
    model_id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS engine_titled_models (
    model_id INTEGER PRIMARY KEY
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
CREATE TABLE IF NOT EXISTS engine_metadata (
    answer_id INTEGER PRIMARY KEY,
    metadata TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS engine_activations (
    activation_id INTEGER PRIMARY KEY,
    projection_id INTEGER NOT NULL,
    linear BOOLEAN NOT NULL,
    activated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
";

/// Tables that the first programs of this schema did not know. They have no indexes.
const LATER_TABLES: [&str; 4] =
    ["training_batches", "batch_status_history", "multi_head_projections", "cluster_heads"];

/// The name of each table of [`DEFINITION`], with the statement that makes it.
fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFINITION.split_inclusive(";\n").filter_map(|statement| {
        let (name, _) = statement.trim_start().strip_prefix("CREATE TABLE ")?.split_once(" (")?;
        Some((name, statement))
    })
}

/// The columns of each table with their declared types.
pub(crate) fn columns() -> impl Iterator<Item = (&'static str, Vec<(&'static str, &'static str)>)> {
    tables().map(|(table, statement)| {
        // A line of the definition that does not name a constraint begins with a column.
        let lines = statement.lines().filter_map(|line| line.strip_prefix("    "));
        let words = lines.filter_map(|line| {
            let mut words = line.split([' ', ',']);
            Some((words.next()?, words.next()?))
        });
        let is_column = |(name, _): &(&str, _)| !["", "UNIQUE", "PRIMARY"].contains(name);
        (table, words.filter(is_column).collect())
    })
}

/// Makes all tables in an empty database, and in one of early programs those that it lacks.
/// Databases that lack another table are not stores, and stay as they are.
pub(crate) fn create_missing(store: &Store) -> Result<()> {
    if !store.exists("SELECT 1 FROM sqlite_master", [])? {
        let script =
            format!("BEGIN IMMEDIATE; {DEFINITION} PRAGMA user_version = {VERSION}; COMMIT;");
        let created = store.execute_script("creating", &script);
        // Another process may have been faster.
        return created.or_else(|error| match store.has_table("answers")? {
            true => store.execute_script("creating", "ROLLBACK"),
            false => Err(error),
        });
    }
    let mut script = String::new();
    for (table, statement) in tables() {
        match (store.has_table(table)?, LATER_TABLES.contains(&table)) {
            (true, _) => {}
            (false, true) => script += statement,
            (false, false) => return Ok(()),
        }
    }
    if script.is_empty() {
        return Ok(());
    }
    let script = script.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS");
    store.execute_script("writing to", &format!("BEGIN IMMEDIATE; {script} COMMIT;"))
}

impl Change<'_> {
    /// Makes the tables of our own that are missing.
    pub(crate) fn create_own_tables(&self) -> Result<()> {
        self.execute_script("writing to", OWN_TABLES)
    }
}

/// Whether a store has a table of this name.
fn is_ours(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("engine_") || tables().any(|(table, _)| table == name)
}

impl Store {
    /// Refuses a database whose triggers would change what is written, or never end. It can be
    /// read all the same.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`], naming the trigger.
    pub fn check_triggers(&self) -> Result<()> {
        let triggers = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'";
        let triggers: Vec<(String, String)> = self.rows(triggers, [])?;
        match triggers.iter().find(|(_, table)| is_ours(table)) {
            None => Ok(()),
            Some((name, table)) => Err(self.error(
                ErrorKind::InvalidStore,
                format!(
                    "the table '{table}' has the trigger '{name}', which would change what is \
                     written; drop it first"
                ),
            )),
        }
    }
}

/// Checks that the database is a store of a version that we know.
pub(crate) fn check(store: &Store) -> Result<()> {
    let version = store.ids("PRAGMA user_version", [])?[0];
    let invalid = |what: String| Err(store.error(ErrorKind::InvalidStore, what));
    if version > VERSION {
        return invalid(format!(
            "schema version {version}, newer than {VERSION}, the newest that this engine knows"
        ));
    }
    let strange = "SELECT name FROM sqlite_master WHERE type = 'view' OR \
                   (type = 'table' AND coalesce(rootpage, 0) = 0)";
    let strange: Vec<(String,)> = store.rows(strange, [])?;
    if let Some((name,)) = strange.iter().find(|(name,)| is_ours(name)) {
        return invalid(format!(
            "'{name}' is a view or a virtual table, which may have rows without end; expected a \
             table"
        ));
    }
    for (table, expected) in columns() {
        let columns = "SELECT lower(name) FROM pragma_table_info(?1)";
        let found: Vec<(String,)> = store.rows(columns, [table])?;
        if found.is_empty() {
            return invalid(format!("not a projection store, the table '{table}' is missing"));
        }
        let missing: Vec<&str> = (expected.iter().map(|(column, _)| *column))
            .filter(|column| !found.iter().any(|(name,)| *name == column.to_lowercase()))
            .collect();
        if !missing.is_empty() {
            return invalid(format!(
                "damaged schema, the table '{table}' lacks the column {}",
                missing.join(", ")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_of_early_programs_get_the_later_tables_and_others_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lda.db");
        let tables = |store: &Store| store.ids("SELECT rowid FROM sqlite_master", []).unwrap();
        let store = Store::open_or_create(&path).unwrap();
        let whole = tables(&store);
        for table in LATER_TABLES {
            store.execute_script("test", &format!("DROP TABLE {table}")).unwrap();
        }
        assert!(check(&store).is_err());
        create_missing(&store).unwrap();
        check(&store).unwrap();
        assert_eq!(tables(&store).len(), whole.len());

        store.execute_script("test", "DROP TABLE cluster_heads; DROP TABLE questions").unwrap();
        let before = tables(&store);
        create_missing(&store).unwrap();
        assert_eq!(tables(&store), before);
        assert!(check(&store).unwrap_err().to_string().contains("'questions' is missing"));
    }
}
