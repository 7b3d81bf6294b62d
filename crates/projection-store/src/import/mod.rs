//! Importing into a store: question–answer files, folders of them, and precomputed embeddings.
//!
//! Every format of question–answer files is read into the same rows, which become clusters in one
//! place.
//!
//! A file is known by its path and the SHA-256 of its bytes. A new version of a file replaces
//! its earlier import: texts that are in both keep their ids and embeddings, the others go or
//! come. Each file is one change of the store. A file that was moved keeps what it brought, and
//! a copy brings nothing.

mod beir;
mod clusters;
mod folder;
mod formats;
mod json;
mod json_rows;
mod precomputed;
mod precomputed_files;
mod qa_file;
mod replacement;
mod rows;
mod source;
mod table;
mod versions;

use std::fmt;
use std::path::Path;

use projection_core::kernel::parallel::Poll;
use projection_core::{Error, ErrorKind, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::batches::BatchStatus;
use crate::store::Store;

pub use clusters::{TestCluster, read_test_questions};
pub use folder::{FileError, ImportOptions, Imported, ImportedFile, import_paths};
pub use formats::{FileFormat, FileOptions};
pub use precomputed::{ImportedEmbeddings, PrecomputedEmbeddings, import_embeddings};
use replacement::Replacement;
use source::Source;

/// What became of an imported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// The file is new.
    Imported,
    /// The file replaced an older version of itself.
    Replaced,
    /// The store has this very version already, from this path or from another one.
    Unchanged,
    /// The store has this very version from a path that no longer exists: what it brought
    /// belongs to the new path now.
    Moved,
    /// The file can't be imported.
    Failed,
    /// The file was imported from a folder before, and is gone. The store keeps what it brought.
    Missing,
}

impl fmt::Display for ImportOutcome {
    /// Writes its name in reports, such as `imported`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Imported => "imported",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Moved => "moved",
            Self::Failed => "failed",
            Self::Missing => "missing",
        })
    }
}

/// What a file brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What became of it.
    pub outcome: ImportOutcome,
    /// Number of clusters in the file; zero unless it was imported, as the next three.
    pub clusters: usize,
    /// Number of answers in the file.
    pub answers: usize,
    /// Number of questions in the file.
    pub questions: usize,
    /// Number of texts of the older version that are gone.
    pub removed: usize,
    /// Number of entries with a fault that were left out, as was asked for.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// What may not be meant so, and why entries were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl From<ImportOutcome> for ImportReport {
    /// The report of a file that brought nothing.
    fn from(outcome: ImportOutcome) -> Self {
        Self {
            outcome,
            clusters: 0,
            answers: 0,
            questions: 0,
            removed: 0,
            skipped: 0,
            warnings: Vec::new(),
        }
    }
}

/// Imports the question–answer file, or the BEIR folder, at `file`.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if the file can't be read,
/// [`ErrorKind::InvalidInput`] if entries are wrong, naming all of them, [`ErrorKind::Busy`] if
/// another process keeps writing to the store. The store keeps what it had, and the batch is marked
/// as failed.
pub fn import_file(store: &mut Store, file: impl AsRef<Path>) -> Result<ImportReport> {
    import_entries(store, file.as_ref(), &ImportOptions::default(), &mut || Ok(()))
}

/// Imports a file; with `skip_invalid` without the entries that are wrong.
fn import_entries(
    store: &mut Store,
    file: &Path,
    options: &ImportOptions,
    poll: &mut Poll<'_>,
) -> Result<ImportReport> {
    let read = Source::read(file, &options.files)?;
    let (source, hash) = (Source::name(store.path(), file)?, read.hash(&options.files));
    let version = versions::Version { source: &source, hash: &hash, vectors: None };
    version.import(store, |store, batch_id, outcome| {
        poll()?;
        let found = formats::parse(file, &read, &options.files)?;
        let found = found.check(options.skip_invalid).map_err(|what| {
            Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display()))
        })?;
        let change = store.begin()?;
        change.create_own_tables()?;
        let mut replacement = Replacement::new(&change, &source);
        clusters::add_clusters(&mut replacement, &found, poll)?;
        let (answers, questions) = (replacement.count("answer"), replacement.count("question"));
        let (clusters, skipped) = (found.clusters.len(), found.faulty);
        let removed = replacement.finish(batch_id, clusters, questions)?;
        change.set_batch_status(batch_id, BatchStatus::Embedding, None)?;
        change.commit()?;
        store.carry_out_deletes();
        let warnings = found.warnings;
        Ok(ImportReport { outcome, clusters, answers, questions, removed, skipped, warnings })
    })
}

/// In hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
