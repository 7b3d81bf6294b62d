//! Training batches: which question–answer files were imported, and how far they got.

use rusqlite::params;

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
}

impl Store {
    /// All batches in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn batches(&self) -> Result<Vec<Batch>> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT batch_id, source_file, file_hash, status, error_message \
                 FROM training_batches ORDER BY batch_id",
            )
            .map_err(self.reading())?;
        statement
            .query_map([], |row| {
                Ok(Batch {
                    batch_id: row.get(0)?,
                    source_file: row.get(1)?,
                    file_hash: row.get(2)?,
                    status: row.get(3)?,
                    error_message: row.get(4)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(self.reading())
    }

    /// The batch that brought the present rows of `source_file`.
    pub(crate) fn current_batch(&self, source_file: &str) -> Result<Option<Batch>> {
        let mut statement = self
            .connection
            .prepare("SELECT count(*) FROM sqlite_master WHERE name = 'engine_sources'")
            .map_err(self.reading())?;
        let tracked =
            statement.query_row([], |row| row.get::<_, bool>(0)).map_err(self.reading())?;
        let current = match tracked {
            true => self
                .connection
                .prepare("SELECT batch_id FROM engine_sources WHERE source_file = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_map([source_file], |row| row.get::<_, i64>(0))?
                        .next()
                        .transpose()
                })
                .map_err(self.reading())?,
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

    /// Registers a version of a file, or takes up the batch of a version that was
    /// registered before.
    pub(crate) fn register_batch(&mut self, source_file: &str, file_hash: &str) -> Result<i64> {
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
