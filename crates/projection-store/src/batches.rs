//! Training batches: which files were imported, and how far they got.

use std::collections::HashMap;

use projection_core::Result;
use rusqlite::params;
use serde::Serialize;

use crate::rows::from_row;
use crate::store::{Change, Store};

/// How far a batch got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchStatus {
    /// Registered.
    Pending,
    /// Its file is being read.
    Importing,
    /// Its texts are in the store and wait for embeddings.
    Embedding,
    /// A model is being trained on it.
    Training,
    /// Done.
    Completed,
    /// Given up, with an error message.
    Failed,
}

impl BatchStatus {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Importing => "importing",
            Self::Embedding => "embedding",
            Self::Training => "training",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A row of `training_batches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// The batch's id.
    #[serde(rename = "id")]
    pub batch_id: i64,
    /// The file, relative to the database's folder if it lies below it, otherwise absolute.
    #[serde(rename = "file")]
    pub source_file: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    #[serde(rename = "sha256")]
    pub file_hash: String,
    /// See [`BatchStatus::name`].
    pub status: String,
    /// Why it failed.
    #[serde(rename = "error")]
    pub error_message: Option<String>,
    /// The embedding model of its texts.
    #[serde(rename = "model")]
    pub model_name: Option<String>,
    /// Number of clusters, if the file was read.
    #[serde(rename = "clusters")]
    pub num_clusters: Option<usize>,
    /// Number of questions, if the file was read.
    #[serde(rename = "questions")]
    pub num_questions: Option<usize>,
    /// When it was registered, in UTC.
    pub created_at: Option<String>,
    /// When it was last begun, in UTC.
    pub started_at: Option<String>,
    /// When it was completed or given up, in UTC.
    pub completed_at: Option<String>,
}

from_row!(Batch {
    batch_id,
    source_file,
    file_hash,
    status,
    error_message,
    model_name,
    num_clusters,
    num_questions,
    created_at,
    started_at,
    completed_at,
});

/// What a batch of precomputed embeddings consists of, beside the file of its answers. Files are
/// named as [`Batch::source_file`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorBatch {
    /// The embedding model.
    pub model_name: String,
    pub questions_file: String,
    pub labels_file: String,
    pub texts_file: Option<String>,
}

from_row!(VectorBatch { model_name, questions_file, labels_file, texts_file });

impl Store {
    /// All batches in ascending order of id.
    pub fn batches(&self) -> Result<Vec<Batch>> {
        self.rows("SELECT * FROM training_batches ORDER BY batch_id", [])
    }

    /// The batch that brought the present rows of `source_file`.
    pub(crate) fn current_batch(&self, source_file: &str) -> Result<Option<Batch>> {
        let mut sources = self.sources()?.into_iter();
        match sources.find(|(source, _)| source == source_file) {
            Some((_, id)) => self.row("SELECT * FROM training_batches WHERE batch_id = ?1", [id]),
            // Databases of other programs: the newest batch that got through.
            None => self.row(
                "SELECT * FROM training_batches WHERE source_file = ?1 AND status = 'completed' \
                 ORDER BY batch_id DESC",
                [source_file],
            ),
        }
    }

    /// Every imported file with the batch that brought its present rows, in ascending order of
    /// name.
    pub fn sources(&self) -> Result<Vec<(String, i64)>> {
        match self.has_table("engine_sources")? {
            true => self
                .rows("SELECT source_file, batch_id FROM engine_sources ORDER BY source_file", []),
            false => Ok(Vec::new()),
        }
    }

    /// Batches that failed or were interrupted, the last of each file, in ascending order of
    /// id. Batches of a file of which another version got through afterwards are left out.
    pub fn failed_batches(&self) -> Result<Vec<Batch>> {
        let by_time: Vec<(String, i64)> = self.rows(
            "SELECT source_file, batch_id FROM training_batches b ORDER BY (SELECT \
             max(history_id) FROM batch_status_history h WHERE h.batch_id = b.batch_id), batch_id",
            [],
        )?;
        // Of each file the batch that something happened to last.
        let last: HashMap<String, i64> = by_time.into_iter().collect();
        let mut batches = self.batches()?;
        batches.retain(|batch| {
            last.get(&batch.source_file) == Some(&batch.batch_id)
                && ["pending", "importing", "failed"].contains(&batch.status.as_str())
        });
        Ok(batches)
    }

    /// The files of a batch, if it is one of precomputed embeddings.
    pub(crate) fn vector_batch(&self, batch_id: i64) -> Result<Option<VectorBatch>> {
        match self.has_table("engine_vector_batches")? {
            true => self.row("SELECT * FROM engine_vector_batches WHERE batch_id = ?1", [batch_id]),
            false => Ok(None),
        }
    }

    /// Registers a version of a file, or takes up the batch of a version that was registered
    /// before.
    pub(crate) fn register_batch(
        &mut self,
        source_file: &str,
        file_hash: &str,
        vectors: Option<&VectorBatch>,
    ) -> Result<i64> {
        let change = self.begin()?;
        let known = change.ids(
            "SELECT batch_id FROM training_batches WHERE source_file = ?1 AND file_hash = ?2",
            [source_file, file_hash],
        )?;
        let batch_id = match known.first() {
            Some(batch_id) => *batch_id,
            None => change.insert(
                "INSERT INTO training_batches (source_file, file_hash, status) \
                 VALUES (?1, ?2, 'pending')",
                [source_file, file_hash],
            )?,
        };
        if let Some(files) = vectors {
            change.create_own_tables()?;
            change.set_vector_batch(batch_id, files)?;
        }
        change.set_batch_status(batch_id, BatchStatus::Pending, None)?;
        change.commit()?;
        Ok(batch_id)
    }

    /// Moves a batch to another status.
    pub fn set_batch_status(
        &mut self,
        batch_id: i64,
        status: BatchStatus,
        message: Option<&str>,
    ) -> Result<()> {
        let change = self.begin()?;
        change.set_batch_status(batch_id, status, message)?;
        change.commit()
    }
}

impl Change<'_> {
    /// Records what a batch of precomputed embeddings consists of.
    pub(crate) fn set_vector_batch(&self, batch_id: i64, files: &VectorBatch) -> Result<()> {
        let VectorBatch { model_name, questions_file, labels_file, texts_file } = files;
        self.execute(
            "INSERT OR REPLACE INTO engine_vector_batches VALUES (?1, ?2, ?3, ?4, ?5)",
            params![batch_id, model_name, questions_file, labels_file, texts_file],
        )?;
        Ok(())
    }

    /// Records the embedding model of a batch.
    pub(crate) fn set_batch_model(&self, batch_id: i64, model_name: &str) -> Result<()> {
        self.execute(
            "UPDATE training_batches SET model_name = ?2 WHERE batch_id = ?1",
            params![batch_id, model_name],
        )?;
        Ok(())
    }

    /// Moves a batch to another status and adds to its history.
    pub(crate) fn set_batch_status(
        &self,
        batch_id: i64,
        status: BatchStatus,
        message: Option<&str>,
    ) -> Result<()> {
        self.execute(
            "UPDATE training_batches SET status = ?2, \
             error_message = CASE ?2 WHEN 'failed' THEN ?3 END, \
             started_at = CASE ?2 WHEN 'importing' THEN CURRENT_TIMESTAMP ELSE started_at END, \
             completed_at = CASE WHEN ?2 IN ('completed', 'failed') THEN CURRENT_TIMESTAMP END \
             WHERE batch_id = ?1",
            params![batch_id, status.name(), message],
        )?;
        self.execute(
            "INSERT INTO batch_status_history (batch_id, status, message) VALUES (?1, ?2, ?3)",
            params![batch_id, status.name(), message],
        )?;
        Ok(())
    }
}
