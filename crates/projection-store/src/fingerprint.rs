//! Whether a store has changed.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use projection_core::{Result, layout};
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use crate::store::Store;

/// What searches depend on, but for the models and the embeddings.
const CONTENTS: [&str; 6] = [
    "SELECT answer_id, record_id, text FROM answers ORDER BY answer_id",
    "SELECT cluster_id, name FROM qa_clusters ORDER BY cluster_id",
    "SELECT cluster_id, answer_id FROM cluster_answers ORDER BY cluster_id, answer_id",
    "SELECT model_id, name, dimension FROM embedding_models ORDER BY model_id",
    "SELECT mh_projection_id, cluster_id, centroid_path, answer_emb_path, W_path \
     FROM cluster_heads ORDER BY mh_projection_id, cluster_id",
    "SELECT projection_id, W_path FROM projections ORDER BY projection_id",
];

const METADATA: &str = "SELECT answer_id, metadata FROM engine_metadata ORDER BY answer_id";

const VECTORS: &str = "SELECT vector_path, embedding_id, model_id, entity_type, entity_id \
                       FROM embeddings ORDER BY embedding_id";

impl Store {
    /// A value, in hexadecimal, that changes whenever answers, clusters, embeddings or models
    /// change, and not when the query log grows. It is a hash of what the tables hold and of what
    /// the file system says of the vectors' files, which are not read.
    pub fn fingerprint(&self) -> Result<String> {
        self.at_one_moment(|| {
            let mut hash = Sha256::new();
            for sql in CONTENTS {
                self.each(sql, [], |row| add_row(&mut hash, row))?;
            }
            if self.has_table("engine_metadata")? {
                self.each(METADATA, [], |row| add_row(&mut hash, row))?;
            }
            let folder = self.path().parent().unwrap_or(Path::new(""));
            let embeddings = folder.join(layout::EMBEDDINGS_FOLDER);
            self.each(VECTORS, [], |row| {
                add_row(&mut hash, row)?;
                let file = folder.join(row.get_ref(0)?.as_str().unwrap_or_default());
                if !file.starts_with(&embeddings) {
                    add_file(&mut hash, &file);
                }
                Ok(())
            })?;
            add_folder(&mut hash, &embeddings);
            for model in self.models()? {
                hash.update(format!("{model:?}"));
            }
            Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
        })
    }
}

/// Adds the names of all files in a folder, and what [`add_file`] adds. Other programs may write
/// other vectors into the same files, and a store that was moved has not the paths it says.
fn add_folder(hash: &mut Sha256, folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        hash.update(entry.file_name().as_encoded_bytes());
        // Links to folders are not followed: they could go round in circles.
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => add_folder(hash, &entry.path()),
            false => add_file(hash, &entry.path()),
        }
    }
}

/// Adds the length and the time of the latest change of a file. Vectors have one length, and a
/// copy may keep its time: on Unix, the inode and the time of its latest change tell too.
fn add_file(hash: &mut Sha256, file: &Path) {
    let about = fs::metadata(file).ok().filter(|about| about.is_file());
    let Some(about) = about else { return hash.update([0]) };
    let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    hash.update(about.len().to_le_bytes());
    hash.update(changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        for value in [about.ino() as i64, about.ctime(), about.ctime_nsec()] {
            hash.update(value.to_le_bytes());
        }
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
    use serde_json::json;

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
            (r#"INSERT INTO engine_metadata VALUES (1, '{"url": "u"}')"#, true),
            (
                "INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) \
                 VALUES (1, 'answer', 1, 'a.npy')",
                true,
            ),
        ] {
            let change = store.begin().unwrap();
            change.create_own_tables().unwrap();
            change.execute(sql, []).unwrap();
            change.commit().unwrap();
            let fingerprint = store.fingerprint().unwrap();
            assert_eq!(!seen.contains(&fingerprint), changes, "{sql}");
            seen.push(fingerprint);
        }
        let vectors = folder.path().join("embeddings/mini");
        fs::create_dir_all(&vectors).unwrap();
        let head = vectors.join("mh_1_cluster_1_centroid.npy");
        for (file, content) in [
            (folder.path().join("a.npy"), "another vector"),
            (head.clone(), "of a head"),
            (head.clone(), "of length"),
        ] {
            let before = fs::metadata(&file).and_then(|about| about.modified());
            fs::write(&file, content).unwrap();
            if let Ok(time) = before {
                fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
            }
            let fingerprint = store.fingerprint().unwrap();
            assert!(!seen.contains(&fingerprint), "{content}");
            seen.push(fingerprint);
        }
        assert_eq!(seen.last(), Some(&store.fingerprint().unwrap()));

        let models = serde_json::to_value(store.models().unwrap()).unwrap();
        assert_eq!(models[0]["kind"], "multi_head");
        assert_eq!(models[0]["metrics"], json!({"recall_at_1": 0.5, "mrr": null}));
        assert_eq!((&models[0]["model"], &models[0]["temperature"]), (&json!("mini"), &json!(1.0)));
        assert_eq!((&models[1]["kind"], &models[1]["id"]), (&json!("linear"), &json!(1)));
        assert_eq!((&models[1]["name"], &models[1]["answer_model"]), (&json!("w"), &json!("")));
    }
}
