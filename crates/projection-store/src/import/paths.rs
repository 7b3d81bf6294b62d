//! Importing files and folders of them, one after the other.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::folder::missing;
use super::{ImportOutcome, ImportReport, import_file, question_answer_files, retry_batch};
use crate::error::{Error, Result};
use crate::store::Store;

/// What became of every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The store's database.
    pub store: String,
    /// The files, in the order in which they were taken.
    pub files: Vec<ImportedFile>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedFile {
    /// The file.
    pub file: String,
    /// `imported`, `replaced`, `unchanged`, `moved`, `failed`, or `missing` where the folder
    /// had the file before.
    pub outcome: &'static str,
    /// Clusters that it brought.
    pub clusters: usize,
    /// Answers that it brought.
    pub answers: usize,
    /// Questions that it brought.
    pub questions: usize,
    /// Texts of its older version that are gone.
    pub removed: usize,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FileError>,
}

/// Why a file failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileError {
    /// Name of the kind, such as `invalid_input`.
    pub kind: String,
    /// The message.
    pub message: String,
}

impl From<&Error> for FileError {
    fn from(error: &Error) -> Self {
        let kind = error.kind().name().replace(' ', "_");
        Self { kind, message: error.to_string() }
    }
}

/// Imports question–answer files, and those of folders. With `retry_failed` it first tries
/// again what failed or was interrupted before. A file that can't be imported does not keep
/// the others from it.
///
/// `progress` is told the numbers of files done and to do, and what became of the last one.
///
/// # Errors
/// Whatever is wrong with the store. What is wrong with a file is in the result.
pub fn import_paths(
    store: &mut Store,
    paths: &[PathBuf],
    retry_failed: bool,
    progress: &mut dyn FnMut(usize, usize, Option<&ImportedFile>),
) -> Result<Imported> {
    // Listed before anything is imported: what fails now is not tried twice.
    let failed = if retry_failed { store.failed_batches()? } else { Vec::new() };
    let mut work = Work { files: Vec::new(), done: 0, total: failed.len() + paths.len(), progress };
    (work.progress)(0, work.total, None);
    for batch in &failed {
        let retried = retry_batch(store, batch)?;
        work.add(&retried.file, retried.result);
    }
    for path in paths {
        if !path.is_dir() {
            work.add(path, import_file(store, path));
            continue;
        }
        match question_answer_files(store, path) {
            Ok(folder) => {
                work.total = work.total + folder.files.len() - 1;
                for file in &folder.files {
                    work.add(file, import_file(store, file));
                }
                // Asked again, as some may have moved to where they were just imported from.
                let missing = missing(store, path)?;
                let missing =
                    missing.iter().map(|file| ImportedFile::without(file, "missing", None));
                work.files.extend(missing);
            }
            Err(error) => work.add(path, Err(error)),
        }
    }
    Ok(Imported { store: store.path().display().to_string(), files: work.files })
}

/// The files so far.
struct Work<'a> {
    files: Vec<ImportedFile>,
    done: usize,
    total: usize,
    progress: &'a mut dyn FnMut(usize, usize, Option<&ImportedFile>),
}

impl Work<'_> {
    fn add(&mut self, file: &Path, result: Result<ImportReport>) {
        let file = match result {
            Ok(report) => ImportedFile::imported(file, &report),
            Err(error) => ImportedFile::without(file, "failed", Some((&error).into())),
        };
        self.done += 1;
        (self.progress)(self.done, self.total, Some(&file));
        self.files.push(file);
    }
}

impl ImportOutcome {
    /// Its name in reports, such as `imported`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Moved => "moved",
        }
    }
}

impl ImportedFile {
    fn imported(file: &Path, report: &ImportReport) -> Self {
        Self {
            outcome: report.outcome.name(),
            clusters: report.clusters,
            answers: report.answers,
            questions: report.questions,
            removed: report.removed,
            ..Self::without(file, "", None)
        }
    }

    /// A file that brought nothing.
    fn without(file: &Path, outcome: &'static str, error: Option<FileError>) -> Self {
        Self {
            file: file.display().to_string(),
            outcome,
            clusters: 0,
            answers: 0,
            questions: 0,
            removed: 0,
            error,
        }
    }
}
