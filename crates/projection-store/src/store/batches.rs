//! Training batches: which question–answer files were imported, and how far they got.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::{Change, Store};
use crate::error::Result;

/// How far a batch got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchStatus {
    /// Registered.
    Pending,
    /// Its file is being read.
    Importing,
    /// Its texts are in the store and wait for vectors.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The batch's id.
    pub batch_id: i64,
    /// The file, relative to the database's folder where it lies below it.
    pub source_file: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub file_hash: String,
    /// See [`BatchStatus::name`].
    pub status: String,
    /// Why it failed.
    pub error_message: Option<String>,
    /// The text model that gave its texts their vectors.
    pub model_name: Option<String>,
    /// Number of clusters, where the file was read.
    pub num_clusters: Option<usize>,
    /// Number of questions, where the file was read.
    pub num_questions: Option<usize>,
    /// When it was registered, in UTC.
    pub created_at: Option<String>,
    /// When it was last begun, in UTC.
    pub started_at: Option<String>,
    /// When it was completed or given up, in UTC.
    pub completed_at: Option<String>,
}

/// What a batch of own vectors consists of beside its answers' file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorBatch {
    /// The text model that the vectors are by.
    pub model_name: String,
    /// The files are recorded as [`Batch::source_file`] is.
    pub questions_file: String,
    pub labels_file: String,
    pub texts_file: Option<String>,
}

impl Store {
    /// All batches in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn batches(&self) -> Result<Vec<Batch>> {
        self.query(
            "SELECT batch_id, source_file, file_hash, status, error_message, model_name, \
                 num_clusters, num_questions, created_at, started_at, completed_at \
                 FROM training_batches ORDER BY batch_id",
            [],
            |row| {
                Ok(Batch {
                    batch_id: row.get(0)?,
                    source_file: row.get(1)?,
                    file_hash: row.get(2)?,
                    status: row.get(3)?,
                    error_message: row.get(4)?,
                    model_name: row.get(5)?,
                    num_clusters: row.get(6)?,
                    num_questions: row.get(7)?,
                    created_at: row.get(8)?,
                    started_at: row.get(9)?,
                    completed_at: row.get(10)?,
                })
            },
        )
    }

    /// The batch that brought the present rows of `source_file`.
    pub(crate) fn current_batch(&self, source_file: &str) -> Result<Option<Batch>> {
        let current = match self.has_table("engine_sources")? {
            true => {
                let sql = "SELECT batch_id FROM engine_sources WHERE source_file = ?1";
                self.query(sql, [source_file], |row| row.get::<_, i64>(0))?.first().copied()
            }
            false => None,
        };
        Ok(self.batches()?.into_iter().rev().find(|batch| match current {
            Some(batch_id) => batch.batch_id == batch_id,
            // Databases of other programs: the newest batch that got through.
            None => {
                batch.source_file == source_file && batch.status == BatchStatus::Completed.name()
            }
        }))
    }

    /// Every imported file with the batch that brought its present rows, in ascending order
    /// of name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn sources(&self) -> Result<Vec<(String, i64)>> {
        if !self.has_table("engine_sources")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT source_file, batch_id FROM engine_sources ORDER BY source_file";
        self.query(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Batches that failed or were interrupted, the last of each file, in ascending order of
    /// id. Those of a file of which another version got through afterwards are left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn failed_batches(&self) -> Result<Vec<Batch>> {
        let by_time: Vec<(String, i64)> = self.query(
            "SELECT source_file, batch_id FROM training_batches b ORDER BY (SELECT \
                 max(history_id) FROM batch_status_history h WHERE h.batch_id = b.batch_id), \
                 batch_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        // Of each file the batch that something happened to last.
        let last: HashMap<String, i64> = by_time.into_iter().collect();
        let unfinished = [BatchStatus::Pending, BatchStatus::Importing, BatchStatus::Failed];
        let unfinished = unfinished.map(BatchStatus::name);
        let failed = self.batches()?.into_iter().filter(|batch| {
            last.get(&batch.source_file) == Some(&batch.batch_id)
                && unfinished.contains(&batch.status.as_str())
        });
        Ok(failed.collect())
    }

    /// The other files of a batch, where it is one of own vectors.
    pub(crate) fn vector_batch(&self, batch_id: i64) -> Result<Option<VectorBatch>> {
        if !self.has_table("engine_vector_batches")? {
            return Ok(None);
        }
        self.connection
            .query_row(
                "SELECT model_name, questions_file, labels_file, texts_file \
                 FROM engine_vector_batches WHERE batch_id = ?1",
                [batch_id],
                |row| {
                    Ok(VectorBatch {
                        model_name: row.get(0)?,
                        questions_file: row.get(1)?,
                        labels_file: row.get(2)?,
                        texts_file: row.get(3)?,
                    })
                },
            )
            .optional()
            .map_err(self.reading())
    }

    /// Registers a version of a file, or takes up the batch of a version that was
    /// registered before.
    pub(crate) fn register_batch(
        &mut self,
        source_file: &str,
        file_hash: &str,
        vectors: Option<&VectorBatch>,
    ) -> Result<i64> {
        let change = self.begin()?;
        let known = change.query(
            "SELECT batch_id FROM training_batches WHERE source_file = ?1 AND file_hash = ?2",
            [source_file, file_hash],
            |row| row.get::<_, i64>(0),
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
            change.own_tables()?;
            change.set_vector_batch(batch_id, files)?;
        }
        change.set_batch_status(batch_id, BatchStatus::Pending, None)?;
        change.commit()?;
        Ok(batch_id)
    }

    /// Moves a batch to another status.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) or [`ErrorKind::Io`](crate::ErrorKind::Io)
    /// where the database can't be written.
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
    /// Records what a batch of own vectors consists of.
    pub(crate) fn set_vector_batch(&self, batch_id: i64, files: &VectorBatch) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO engine_vector_batches VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                batch_id,
                files.model_name,
                files.questions_file,
                files.labels_file,
                files.texts_file
            ],
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
