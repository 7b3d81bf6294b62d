//! Importing question–answer files into a store.
//!
//! A file is known by its path and the SHA-256 of its bytes. A new version of a file
//! replaces what its last version brought: texts that are in both keep their ids and
//! vectors, the others go or come. Each file is one change of the store.

mod qa_file;
mod test_questions;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use rusqlite::params;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{BatchStatus, Change, Store};
use qa_file::QaCluster;

pub use test_questions::{TestCluster, read_test_questions};

/// What became of an imported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The store has this very version already.
    Unchanged,
    /// The file is new.
    Imported,
    /// The file replaced an older version of itself.
    Replaced,
}

/// What a file brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// What became of it.
    pub outcome: ImportOutcome,
    /// Clusters, answers and questions in the file; zero where it is unchanged.
    pub clusters: usize,
    /// See `clusters`.
    pub answers: usize,
    /// See `clusters`.
    pub questions: usize,
    /// Texts of the older version that are gone.
    pub removed: usize,
}

/// Imports the question–answer file at `file`.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where the file can't be read,
/// [`ErrorKind::InvalidInput`] where it is of neither shape, [`ErrorKind::Busy`] where
/// another process keeps writing to the store. The store keeps what it had, and the batch
/// is marked as failed.
pub fn import_file(store: &mut Store, file: impl AsRef<Path>) -> Result<ImportReport> {
    let file = file.as_ref();
    let bytes = fs::read(file).map_err(|error| Error::io("reading", file, error))?;
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let source = source_name(store.path(), file)?;

    let current = store.current_batch(&source)?;
    if current.as_ref().is_some_and(|batch| batch.file_hash == hash) {
        return Ok(ImportReport {
            outcome: ImportOutcome::Unchanged,
            clusters: 0,
            answers: 0,
            questions: 0,
            removed: 0,
        });
    }
    let batch_id = store.register_batch(&source, &hash)?;
    store.set_batch_status(batch_id, BatchStatus::Importing, None)?;
    let imported = qa_file::parse(&bytes)
        .map_err(|what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display())))
        .and_then(|clusters| replace(store, &source, batch_id, &clusters));
    match imported {
        Ok((answers, removed, clusters, questions)) => Ok(ImportReport {
            outcome: match current {
                Some(_) => ImportOutcome::Replaced,
                None => ImportOutcome::Imported,
            },
            clusters,
            answers,
            questions,
            removed,
        }),
        Err(error) => {
            // The first error is the one to report.
            let _ = store.set_batch_status(batch_id, BatchStatus::Failed, Some(&error.to_string()));
            Err(error)
        }
    }
}

/// The name under which a file is known: relative to the database's folder where it lies
/// below it, so that the folder can be moved, and absolute elsewhere.
fn source_name(database: &Path, file: &Path) -> Result<String> {
    let absolute = file.canonicalize().map_err(|error| Error::io("reading", file, error))?;
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
    let name = folder.as_ref().and_then(|folder| absolute.strip_prefix(folder).ok());
    let name = name.unwrap_or(&absolute).to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("{}: expected a file name in UTF-8", file.display()),
        )
    })?;
    Ok(if cfg!(windows) { name.replace('\\', "/") } else { name.to_string() })
}

/// Replaces what `source` brought by `clusters`, in one change. Gives the numbers of
/// answers, removed texts, clusters and questions.
fn replace(
    store: &mut Store,
    source: &str,
    batch_id: i64,
    clusters: &[QaCluster],
) -> Result<(usize, usize, usize, usize)> {
    let change = store.begin()?;
    change.own_tables()?;
    let mut replacement = Replacement::begin(&change, source)?;
    for cluster in clusters {
        replacement.add(cluster)?;
    }
    let (answers, questions) = (replacement.kept_answers.len(), replacement.kept_questions.len());
    let (removed, vector_paths) = replacement.finish()?;
    change.execute(
        "INSERT OR REPLACE INTO engine_sources (source_file, batch_id) VALUES (?1, ?2)",
        params![source, batch_id],
    )?;
    change.execute(
        "UPDATE training_batches SET num_clusters = ?2, num_questions = ?3 WHERE batch_id = ?1",
        params![batch_id, clusters.len(), questions],
    )?;
    change.set_batch_status(batch_id, BatchStatus::Embedding, None)?;
    change.commit()?;
    store.remove_vector_files(&vector_paths);
    Ok((answers, removed, clusters.len(), questions))
}

/// What a file's last version brought, and what of it the new version has too.
struct Replacement<'a> {
    change: &'a Change<'a>,
    source: &'a str,
    old_clusters: HashMap<String, i64>,
    /// By record and variant.
    old_answers: HashMap<(String, String), i64>,
    /// By cluster and text.
    old_questions: HashMap<(i64, String), i64>,
    kept_clusters: HashSet<i64>,
    kept_answers: HashSet<i64>,
    kept_questions: HashSet<i64>,
    /// Recorded paths of vectors whose rows were deleted.
    vector_paths: Vec<String>,
}

impl<'a> Replacement<'a> {
    fn begin(change: &'a Change<'a>, source: &'a str) -> Result<Self> {
        let old_clusters = change.query(
            "SELECT name, cluster_id FROM qa_clusters JOIN engine_imports ON \
             entity_type = 'cluster' AND entity_id = cluster_id WHERE source_file = ?1",
            [source],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let old_answers = change.query(
            "SELECT record_id, text_variant, answer_id FROM answers JOIN engine_imports i ON \
             entity_type = 'answer' AND entity_id = answer_id WHERE i.source_file = ?1",
            [source],
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        )?;
        let old_questions = change.query(
            "SELECT cluster_id, text, question_id FROM questions JOIN cluster_questions \
             USING (question_id) JOIN engine_imports ON entity_type = 'question' AND \
             entity_id = question_id WHERE source_file = ?1",
            [source],
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        )?;
        Ok(Self {
            change,
            source,
            old_clusters: old_clusters.into_iter().collect(),
            old_answers: old_answers.into_iter().collect(),
            old_questions: old_questions.into_iter().collect(),
            kept_clusters: HashSet::new(),
            kept_answers: HashSet::new(),
            kept_questions: HashSet::new(),
            vector_paths: Vec::new(),
        })
    }

    fn add(&mut self, cluster: &QaCluster) -> Result<()> {
        let cluster_id = match self.old_clusters.get(&cluster.name) {
            Some(cluster_id) => *cluster_id,
            None => {
                let sql = "INSERT INTO qa_clusters (name) VALUES (?1)";
                let cluster_id = self.change.insert(sql, [&cluster.name])?;
                self.track("cluster", cluster_id)?;
                cluster_id
            }
        };
        self.kept_clusters.insert(cluster_id);
        let mut default_answer = None;
        for (variant, text) in &cluster.answers {
            let answer_id = self.add_answer(cluster_id, cluster, variant, text)?;
            match default_answer {
                None => default_answer = Some(answer_id),
                Some(default) => {
                    self.change.execute(
                        "INSERT OR IGNORE INTO answer_relations \
                         (from_answer_id, to_answer_id, relation_type) \
                         VALUES (?1, ?2, 'variant_of')",
                        [answer_id, default],
                    )?;
                }
            }
        }
        for (length_type, text) in &cluster.questions {
            self.add_question(cluster_id, *length_type, text)?;
        }
        Ok(())
    }

    fn add_answer(
        &mut self,
        cluster_id: i64,
        cluster: &QaCluster,
        variant: &str,
        text: &str,
    ) -> Result<i64> {
        let document = cluster.answer_source.as_deref().unwrap_or(self.source);
        let key = (cluster.name.clone(), variant.to_string());
        let answer_id = match self.old_answers.get(&key) {
            Some(answer_id) => {
                let answer_id = *answer_id;
                let reworded = self.change.query(
                    "SELECT 1 FROM answers WHERE answer_id = ?1 AND text <> ?2",
                    params![answer_id, text],
                    |_| Ok(()),
                )?;
                if !reworded.is_empty() {
                    self.delete_vectors("answer", answer_id)?;
                }
                self.change.execute(
                    "UPDATE answers SET text = ?2, source_file = ?3 WHERE answer_id = ?1",
                    params![answer_id, text, document],
                )?;
                answer_id
            }
            None => {
                let answer_id = self.change.insert(
                    "INSERT INTO answers (source_file, record_id, text, text_variant) \
                     VALUES (?1, ?2, ?3, ?4)",
                    params![document, cluster.name, text, variant],
                )?;
                self.track("answer", answer_id)?;
                answer_id
            }
        };
        self.change.execute(
            "INSERT OR IGNORE INTO cluster_answers (cluster_id, answer_id) VALUES (?1, ?2)",
            [cluster_id, answer_id],
        )?;
        self.kept_answers.insert(answer_id);
        Ok(answer_id)
    }

    fn add_question(
        &mut self,
        cluster_id: i64,
        length_type: Option<&str>,
        text: &str,
    ) -> Result<()> {
        let question_id = match self.old_questions.get(&(cluster_id, text.to_string())) {
            Some(question_id) => {
                self.change.execute(
                    "UPDATE questions SET length_type = ?2 WHERE question_id = ?1",
                    params![question_id, length_type],
                )?;
                *question_id
            }
            None => {
                let question_id = self.change.insert(
                    "INSERT INTO questions (text, length_type) VALUES (?1, ?2)",
                    params![text, length_type],
                )?;
                self.change.execute(
                    "INSERT INTO cluster_questions (cluster_id, question_id) VALUES (?1, ?2)",
                    [cluster_id, question_id],
                )?;
                self.track("question", question_id)?;
                question_id
            }
        };
        self.kept_questions.insert(question_id);
        Ok(())
    }

    fn track(&self, entity_type: &str, entity_id: i64) -> Result<()> {
        self.change.execute(
            "INSERT OR IGNORE INTO engine_imports (source_file, entity_type, entity_id) \
             VALUES (?1, ?2, ?3)",
            params![self.source, entity_type, entity_id],
        )?;
        Ok(())
    }

    /// Removes what the new version does not have. Gives the number of removed texts and the
    /// recorded paths of vectors that are not needed any more.
    fn finish(mut self) -> Result<(usize, Vec<String>)> {
        let gone = |old: Vec<i64>, kept: &HashSet<i64>| -> Vec<i64> {
            old.into_iter().filter(|id| !kept.contains(id)).collect()
        };
        let answers = gone(self.old_answers.values().copied().collect(), &self.kept_answers);
        let questions = gone(self.old_questions.values().copied().collect(), &self.kept_questions);
        let clusters = gone(self.old_clusters.values().copied().collect(), &self.kept_clusters);
        for answer_id in &answers {
            self.delete_vectors("answer", *answer_id)?;
            for sql in [
                "DELETE FROM answer_relations WHERE from_answer_id = ?1 OR to_answer_id = ?1",
                "DELETE FROM cluster_answers WHERE answer_id = ?1",
                "DELETE FROM answers WHERE answer_id = ?1",
            ] {
                self.change.execute(sql, [answer_id])?;
            }
            self.forget("answer", *answer_id)?;
        }
        for question_id in &questions {
            self.delete_vectors("question", *question_id)?;
            for sql in [
                "DELETE FROM cluster_questions WHERE question_id = ?1",
                "DELETE FROM questions WHERE question_id = ?1",
            ] {
                self.change.execute(sql, [question_id])?;
            }
            self.forget("question", *question_id)?;
        }
        for cluster_id in clusters {
            // Trained heads keep the number and the name of their cluster.
            self.change.execute(
                "DELETE FROM qa_clusters WHERE cluster_id = ?1 AND NOT EXISTS (SELECT 1 FROM \
                 cluster_heads WHERE cluster_id = ?1) AND NOT EXISTS (SELECT 1 FROM \
                 projection_clusters WHERE cluster_id = ?1)",
                [cluster_id],
            )?;
            self.forget("cluster", cluster_id)?;
        }
        Ok((answers.len() + questions.len(), self.vector_paths))
    }

    /// Deletes the rows of a text's vectors, which are wrong or not needed any more. Their
    /// files go once the change is committed.
    fn delete_vectors(&mut self, entity_type: &str, entity_id: i64) -> Result<()> {
        let values = params![entity_type, entity_id];
        self.vector_paths.extend(self.change.query(
            "SELECT vector_path FROM embeddings WHERE entity_type = ?1 AND entity_id = ?2",
            values,
            |row| row.get::<_, String>(0),
        )?);
        self.change
            .execute("DELETE FROM embeddings WHERE entity_type = ?1 AND entity_id = ?2", values)?;
        Ok(())
    }

    fn forget(&self, entity_type: &str, entity_id: i64) -> Result<()> {
        self.change.execute(
            "DELETE FROM engine_imports WHERE source_file = ?1 AND entity_type = ?2 AND \
             entity_id = ?3",
            params![self.source, entity_type, entity_id],
        )?;
        Ok(())
    }
}
