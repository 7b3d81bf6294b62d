//! Versions of imported files: whether the store has one already, under its path or another.

use std::path::{Path, PathBuf};

use projection_core::{Error, ErrorKind, Result};
use rusqlite::params;

use super::ImportOutcome;
use crate::batches::{BatchStatus, VectorBatch};
use crate::store::Store;

/// The source of what was read from standard input, which is no file: it can't be moved or missing.
pub(super) const STDIN: &str = "<standard input>";

/// A version of a file.
pub(super) struct Version<'a> {
    /// As [`source_name`] returns it.
    pub source: &'a str,
    /// SHA-256 of what is to be imported.
    pub hash: &'a str,
    /// The other files, if these are precomputed embeddings.
    pub vectors: Option<&'a VectorBatch>,
}

impl Version<'_> {
    /// Imports this version by `import`, which gets its batch and whether it is new, unless the
    /// store has it already. If `import` fails, the batch is marked as failed.
    pub fn import<T: From<ImportOutcome>>(
        &self,
        store: &mut Store,
        import: impl FnOnce(&mut Store, i64, ImportOutcome) -> Result<T>,
    ) -> Result<T> {
        let outcome = match store.current_batch(self.source)? {
            Some(batch) if batch.file_hash == self.hash => {
                return Ok(ImportOutcome::Unchanged.into());
            }
            Some(_) => ImportOutcome::Replaced,
            None => match self.known_by_another_path(store)? {
                Some(outcome) => return Ok(outcome.into()),
                None => ImportOutcome::Imported,
            },
        };
        let batch_id = store.register_batch(self.source, self.hash, self.vectors)?;
        store.set_batch_status(batch_id, BatchStatus::Importing, None)?;
        let imported = import(store, batch_id, outcome);
        if let Err(error) = &imported {
            let message = error.to_string();
            // The first error is the one to report.
            let _ = store.set_batch_status(batch_id, BatchStatus::Failed, Some(&message));
        }
        imported
    }

    /// What becomes of a path that the store does not know, if it has the same bytes from
    /// another one. If that path no longer exists, the file has moved: what it brought belongs
    /// to the new path, so that later versions replace it. Otherwise it is a copy.
    fn known_by_another_path(&self, store: &mut Store) -> Result<Option<ImportOutcome>> {
        let same: Vec<(String, i64)> = match store.has_table("engine_sources")? {
            true => store.rows(
                "SELECT s.source_file, s.batch_id FROM engine_sources s \
                 JOIN training_batches b USING (batch_id) WHERE b.file_hash = ?1 \
                 ORDER BY s.source_file",
                [self.hash],
            )?,
            false => Vec::new(),
        };
        let is_gone = |source: &str| source != STDIN && !source_path(store.path(), source).exists();
        match same.iter().find(|(other, _)| is_gone(other)) {
            _ if same.is_empty() => Ok(None),
            None => Ok(Some(ImportOutcome::Unchanged)),
            Some((old, batch_id)) => {
                self.rename_from(store, old, *batch_id)?;
                Ok(Some(ImportOutcome::Moved))
            }
        }
    }

    fn rename_from(&self, store: &mut Store, old: &str, batch_id: i64) -> Result<()> {
        let change = store.begin()?;
        for sql in [
            "UPDATE answers SET source_file = ?2 WHERE source_file = ?1 AND answer_id IN (SELECT \
             entity_id FROM engine_imports WHERE source_file = ?1 AND entity_type = 'answer')",
            "UPDATE engine_imports SET source_file = ?2 WHERE source_file = ?1",
            "UPDATE engine_sources SET source_file = ?2 WHERE source_file = ?1",
        ] {
            change.execute(sql, [old, self.source])?;
        }
        // A version of these bytes that failed at the new path keeps its own row, and this one
        // its old name: the source knows its batch by number.
        change.execute(
            "UPDATE OR IGNORE training_batches SET source_file = ?2 WHERE batch_id = ?1",
            params![batch_id, self.source],
        )?;
        if let Some(files) = self.vectors {
            change.set_vector_batch(batch_id, files)?;
        }
        change.commit()
    }
}

/// The name under which a file is known: relative to the database's folder if it lies below
/// it, so that the folder can be moved, otherwise absolute.
pub(super) fn source_name(database: &Path, file: &Path) -> Result<String> {
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

/// The file of a name that [`source_name`] returned.
pub(super) fn source_path(database: &Path, source: &str) -> PathBuf {
    database.parent().unwrap_or(Path::new("")).join(source)
}
