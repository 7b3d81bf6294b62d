//! The trained models of a store, of every kind, in one list.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ModelKind, Store};
use crate::error::Result;

/// A trained model as the database describes it. Serializes to JSON with the field names
/// `id`, `kind`, `name`, `model`, `answer_model`, `temperature`, `heads`, `created_at` and
/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoredModel {
    /// The model's id.
    pub id: i64,
    /// The model's kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: ModelKind,
    /// A name for people, if it has one.
    pub name: Option<String>,
    /// The embedding model of queries; empty if the database does not know it.
    #[serde(rename = "model")]
    pub model_name: String,
    /// The embedding model of answers, which differs from that of queries for some linear
    /// models only.
    pub answer_model: String,
    /// Softmax temperature; `None` for linear models.
    pub temperature: Option<f64>,
    /// Number of heads that it was trained with; `None` for linear models.
    pub heads: Option<usize>,
    /// When it was stored, in UTC.
    pub created_at: Option<String>,
    /// What was measured when it was trained, such as `recall_at_1`; null if nothing was.
    pub metrics: Value,
}

fn kind_name<S: Serializer>(kind: &ModelKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

impl Store {
    /// All trained models in ascending order of id. Existing stores number linear models apart
    /// from the others; of two models with one id, the one with heads comes first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn models(&self) -> Result<Vec<StoredModel>> {
        let records = match self.has_table("engine_models")? {
            true => "engine_models",
            false => "(SELECT NULL AS mh_projection_id, NULL AS kind, NULL AS metrics WHERE 0)",
        };
        let sql = format!(
            "SELECT p.mh_projection_id AS id, e.kind AS kind, p.name, coalesce(m.name, ''), \
             coalesce(m.name, ''), coalesce(p.temperature, 1.0), p.num_heads, p.created_at, \
             e.metrics, p.recall_at_1, p.mrr \
             FROM multi_head_projections p LEFT JOIN embedding_models m USING (model_id) \
             LEFT JOIN {records} e \
             ON e.mh_projection_id = p.mh_projection_id AND e.kind <> 'linear' \
             UNION ALL \
             SELECT p.projection_id, 'linear', p.name, coalesce(i.name, ''), \
             coalesce(o.name, ''), NULL, NULL, p.created_at, e.metrics, p.recall_at_1, p.mrr \
             FROM projections p LEFT JOIN embedding_models i ON i.model_id = p.input_model_id \
             LEFT JOIN embedding_models o ON o.model_id = p.output_model_id \
             LEFT JOIN {records} e ON e.mh_projection_id = p.projection_id AND e.kind = 'linear'"
        );
        let mut models = self.query(&sql, [], |row| {
            let kind: Option<String> = row.get(1)?;
            let metrics: Option<String> = row.get(8)?;
            let metrics = metrics.and_then(|text| serde_json::from_str(&text).ok());
            let (recall, mrr): (Option<f64>, Option<f64>) = (row.get(9)?, row.get(10)?);
            Ok(StoredModel {
                id: row.get(0)?,
                // A kind that this version does not know can be listed; opening it says more.
                kind: (kind.as_deref().and_then(ModelKind::from_name))
                    .unwrap_or(ModelKind::MultiHead),
                name: row.get(2)?,
                model_name: row.get(3)?,
                answer_model: row.get(4)?,
                temperature: row.get(5)?,
                heads: row.get(6)?,
                created_at: row.get(7)?,
                // Other programs have two columns for what they measured.
                metrics: metrics.unwrap_or(match recall.is_some() || mrr.is_some() {
                    true => json!({"recall_at_1": recall, "mrr": mrr}),
                    false => Value::Null,
                }),
            })
        })?;
        models.sort_by_key(|model| (model.id, model.kind == ModelKind::Linear));
        Ok(models)
    }

    /// The file that the database has the path `path_in_database` of, for vectors by the
    /// embedding model `model_name`. Paths are relative to the database, absolute, or relative
    /// to the working directory; in a store that was moved, the file is found by its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file,
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) if the path leads outside
    /// the store's folder and that is not allowed.
    pub fn resolve_path(&self, path_in_database: &str, model_name: &str) -> Result<PathBuf> {
        self.resolve(path_in_database, model_name)
    }

    /// A value, in hexadecimal, that changes whenever answers, clusters, embeddings or models
    /// change, and not when the query log grows. It is a hash of what the tables hold, so that
    /// it does not depend on the path of the database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn fingerprint(&self) -> Result<String> {
        const CONTENTS: [&str; 6] = [
            "SELECT answer_id, record_id, text FROM answers ORDER BY answer_id",
            "SELECT cluster_id, name FROM qa_clusters ORDER BY cluster_id",
            "SELECT cluster_id, answer_id FROM cluster_answers ORDER BY cluster_id, answer_id",
            "SELECT model_id, name, dimension FROM embedding_models ORDER BY model_id",
            "SELECT mh_projection_id, cluster_id, centroid_path, answer_emb_path, W_path \
             FROM cluster_heads ORDER BY mh_projection_id, cluster_id",
            "SELECT projection_id, W_path FROM projections ORDER BY projection_id",
        ];
        const VECTORS: &str = "SELECT vector_path, embedding_id, model_id, entity_type, entity_id \
                               FROM embeddings ORDER BY embedding_id";
        // All tables are read as they are at one moment.
        let _snapshot = self.connection.unchecked_transaction().map_err(self.reading())?;
        let mut hash = Sha256::new();
        for sql in CONTENTS {
            self.query(sql, [], |row| add_row(&mut hash, row))?;
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.query(VECTORS, [], |row| {
            add_row(&mut hash, row)?;
            // Other programs may write a new vector into the same file.
            let about = fs::metadata(folder.join(row.get::<_, String>(0)?)).ok();
            let changed = about.as_ref().and_then(|about| about.modified().ok());
            let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            hash.update(about.map_or(0, |about| about.len()).to_le_bytes());
            hash.update(changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
            Ok(())
        })?;
        hash.update(serde_json::to_string(&self.models()?).unwrap_or_default());
        Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Adds the values of a row to a hash, each with its type and length.
fn add_row(hash: &mut Sha256, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    for column in 0..row.as_ref().column_count() {
        let (kind, bytes) = match row.get_ref(column)? {
            ValueRef::Null => (0, Vec::new()),
            ValueRef::Integer(value) => (1, value.to_le_bytes().to_vec()),
            ValueRef::Real(value) => (2, value.to_le_bytes().to_vec()),
            ValueRef::Text(bytes) => (3, bytes.to_vec()),
            ValueRef::Blob(bytes) => (4, bytes.to_vec()),
        };
        hash.update([kind]);
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_other_programs_are_listed_and_changes_show_in_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
        let mut seen = vec![store.fingerprint().unwrap()];
        for (sql, changes) in [
            ("INSERT INTO embedding_models (name, dimension) VALUES ('mini', 2)", true),
            ("INSERT INTO multi_head_projections (model_id, recall_at_1) VALUES (1, 0.5)", true),
            (
                "INSERT INTO projections (input_model_id, output_model_id, name, W_path) \
                 VALUES (1, 7, 'w', 'W_projection_1.npy')",
                true,
            ),
            ("INSERT INTO query_log (query_text) VALUES ('why?')", false),
            ("INSERT INTO answers (source_file, text) VALUES ('f', 'ab')", true),
            ("UPDATE answers SET text = 'ba'", true),
            (
                "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) \
                 VALUES (1, 'answer', 1, 'a.npy')",
                true,
            ),
        ] {
            let change = store.begin().unwrap();
            change.execute(sql, []).unwrap();
            change.commit().unwrap();
            let fingerprint = store.fingerprint().unwrap();
            assert_eq!(!seen.contains(&fingerprint), changes, "{sql}");
            seen.push(fingerprint);
        }
        fs::write(folder.path().join("a.npy"), "another vector").unwrap();
        assert!(!seen.contains(&store.fingerprint().unwrap()));

        let models = serde_json::to_value(store.models().unwrap()).unwrap();
        assert_eq!(models[0]["kind"], "multi_head");
        assert_eq!(models[0]["metrics"], json!({"recall_at_1": 0.5, "mrr": null}));
        assert_eq!((&models[0]["model"], &models[0]["temperature"]), (&json!("mini"), &json!(1.0)));
        assert_eq!((&models[1]["kind"], &models[1]["id"]), (&json!("linear"), &json!(1)));
        assert_eq!((&models[1]["name"], &models[1]["answer_model"]), (&json!("w"), &json!("")));
    }
}
