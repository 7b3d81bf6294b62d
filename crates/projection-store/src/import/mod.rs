//! Importing into a store: question–answer files, folders of them, and vectors that were
//! made elsewhere.
//!
//! A file is known by its path and the SHA-256 of its bytes. A new version of a file
//! replaces what its last version brought: texts that are in both keep their ids and
//! vectors, the others go or come. Each file is one change of the store. A file that was
//! moved keeps what it brought, and a copy brings nothing.

mod folder;
mod imported_vectors;
mod moved;
mod own_vectors;
mod paths;
mod qa_file;
mod replacement;
mod retry;
mod test_questions;
mod tracked;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{BatchStatus, Store};

pub use folder::{Folder, question_answer_files};
pub use imported_vectors::ImportedVectors;
pub use paths::{FileError, Imported, ImportedFile, import_paths};
pub use retry::{Retried, retry_batch};
pub use test_questions::{TestCluster, read_test_questions};
pub use vectors::{OwnVectors, VectorFiles, import_vectors};

/// What became of an imported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The store has this very version already, from this path or from another one.
    Unchanged,
    /// The store has this very version from a path where nothing is any more: what it brought
    /// belongs to the new path now.
    Moved,
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
    /// Clusters, answers and questions in the file; zero where it is unchanged or moved.
    pub clusters: usize,
    /// See `clusters`.
    pub answers: usize,
    /// See `clusters`.
    pub questions: usize,
    /// Texts of the older version that are gone.
    pub removed: usize,
}

impl ImportReport {
    /// Of a file that brought nothing.
    const fn nothing(outcome: ImportOutcome) -> Self {
        Self { outcome, clusters: 0, answers: 0, questions: 0, removed: 0 }
    }
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
    let hash = sha256(&bytes);
    let source = source_name(store.path(), file)?;

    let current = store.current_batch(&source)?;
    if current.as_ref().is_some_and(|batch| batch.file_hash == hash) {
        return Ok(ImportReport::nothing(ImportOutcome::Unchanged));
    }
    if current.is_none()
        && let Some(outcome) = moved::known_by_another_path(store, &source, &hash, None)?
    {
        return Ok(ImportReport::nothing(outcome));
    }
    let batch_id = store.register_batch(&source, &hash, None)?;
    store.set_batch_status(batch_id, BatchStatus::Importing, None)?;
    let imported = qa_file::parse(&bytes)
        .map_err(|what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display())))
        .and_then(|clusters| replacement::replace(store, &source, batch_id, &clusters));
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

/// The file of a name that [`source_name`] gave.
fn source_path(database: &Path, source: &str) -> PathBuf {
    database.parent().unwrap_or(Path::new("")).join(source)
}

/// In hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
