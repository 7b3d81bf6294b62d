//! Importing many files, and folders of them, one after the other.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use projection_core::kernel::parallel::Poll;
use projection_core::{Error, ErrorKind, Result, layout};
use serde::Serialize;

use super::formats::format_of_name;
use super::source::beir_files;
use super::versions::{STDIN, source_name, source_path};
use super::{
    FileOptions, ImportOutcome, ImportReport, PrecomputedEmbeddings, import_embeddings,
    import_entries,
};
use crate::batches::Batch;
use crate::store::Store;

/// What became of every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The store's database.
    pub store: String,
    /// The files, in the order in which they were imported.
    pub files: Vec<ImportedFile>,
}

/// How files are imported.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// Whether to try again first what failed or was interrupted before.
    pub retry_failed: bool,
    /// Whether to leave out entries that are wrong, instead of refusing their file.
    pub skip_invalid: bool,
    /// How the files are read.
    pub files: FileOptions,
}

/// Progress of an import: files done, files in all, and the file that was imported right before, if
/// one was. It is called many times a second, also within a file. To stop the import, return
/// [`ControlFlow::Break`].
pub type OnFile<'a> = dyn FnMut(usize, usize, Option<&ImportedFile>) -> ControlFlow<()> + 'a;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedFile {
    /// The file.
    pub file: String,
    /// What it brought.
    #[serde(flatten)]
    pub report: ImportReport,
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

/// Imports question–answer files, and those of folders. A file that can't be imported does not
/// keep the others from it.
///
/// A BEIR folder is imported as a whole. Folders in a folder are searched too. Only files whose
/// names end in `.json`, `.jsonl`, `.ndjson`, `.csv` or `.tsv`, or in one of these and `.gz`, are
/// imported. The path `-` is standard input. Names that begin with a dot are passed over, links to folders are not followed, and the
/// store's own folder of arrays is left out.
///
/// `progress` is told the numbers of files done and to do, and what became of the last one.
/// If it breaks, the import ends: files that were imported stay, and nothing comes of the one that
/// was being imported.
///
/// # Errors
/// [`ErrorKind::Cancelled`], and whatever is wrong with the store. What is wrong with a file is in
/// the result.
pub fn import_paths(
    store: &mut Store,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &mut OnFile<'_>,
) -> Result<Imported> {
    // Listed before anything is imported: what fails now is not tried twice.
    let mut failed = if options.retry_failed { store.failed_batches()? } else { Vec::new() };
    failed.retain(|batch| batch.source_file != STDIN);
    let (done, total) = (0, failed.len() + paths.len());
    let mut work = Work { files: Vec::new(), done, total, progress };
    work.go_on()?;
    for batch in &failed {
        let file = source_path(store.path(), &batch.source_file);
        let result = retry(store, batch, &file, options, &mut || work.go_on())?;
        work.add(&file, result)?;
    }
    for path in paths {
        if !path.is_dir() || beir_files(path).is_some() {
            let result = import_entries(store, path, options, &mut || work.go_on());
            work.add(path, result)?;
            continue;
        }
        match question_answer_files(store, path) {
            Ok(found) => {
                work.total = work.total + found.len() - 1;
                for file in &found {
                    let result = import_entries(store, file, options, &mut || work.go_on());
                    work.add(file, result)?;
                }
                // Listed afterwards: some may have moved to where they were just imported from.
                let missing = missing_files(store, path)?.into_iter();
                let missing =
                    missing.map(|file| ImportedFile::new(&file, Ok(ImportOutcome::Missing.into())));
                work.files.extend(missing);
            }
            Err(error) => work.add(path, Err(error))?,
        }
    }
    Ok(Imported { store: store.path().display().to_string(), files: work.files })
}

/// An import under way.
struct Work<'a, 'b> {
    files: Vec<ImportedFile>,
    done: usize,
    total: usize,
    progress: &'a mut OnFile<'b>,
}

impl Work<'_, '_> {
    fn go_on(&mut self) -> Result<()> {
        cancelled((self.progress)(self.done, self.total, None))
    }

    /// Adds what became of a file, unless the caller has cancelled the import.
    fn add(&mut self, file: &Path, result: Result<ImportReport>) -> Result<()> {
        let result = match result {
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            result => result,
        };
        self.done += 1;
        self.files.push(ImportedFile::new(file, result));
        cancelled((self.progress)(self.done, self.total, self.files.last()))
    }
}

fn cancelled(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Error::new(ErrorKind::Cancelled, "the import was cancelled by the caller"))
        }
    }
}

impl ImportedFile {
    fn new(file: &Path, result: Result<ImportReport>) -> Self {
        let error = result.as_ref().err().map(FileError::from);
        let report = result.unwrap_or(ImportOutcome::Failed.into());
        Self { file: file.display().to_string(), report, error }
    }
}

/// Imports `file`, that of `batch`, as it is now. If these are precomputed embeddings, their
/// other files are imported with it.
fn retry(
    store: &mut Store,
    batch: &Batch,
    file: &Path,
    options: &ImportOptions,
    poll: &mut Poll<'_>,
) -> Result<Result<ImportReport>> {
    let Some(vectors) = store.vector_batch(batch.batch_id)? else {
        return Ok(import_entries(store, file, options, poll));
    };
    let path = |source: &str| source_path(store.path(), source);
    let files = PrecomputedEmbeddings {
        answers: file.to_path_buf(),
        questions: path(&vectors.questions_file),
        labels: path(&vectors.labels_file),
        texts: vectors.texts_file.as_deref().map(path),
        model_name: vectors.model_name,
    };
    Ok(import_embeddings(store, &files, poll).map(|imported| imported.report()))
}

/// The question–answer files below a folder, in ascending order of path.
fn question_answer_files(store: &Store, folder: &Path) -> Result<Vec<PathBuf>> {
    let arrays = source_path(store.path(), layout::EMBEDDINGS_FOLDER).canonicalize().ok();
    let mut files = Vec::new();
    search(folder, arrays.as_deref(), &mut files)?;
    files.sort();
    Ok(files)
}

fn search(folder: &Path, left_out: Option<&Path>, files: &mut Vec<PathBuf>) -> Result<()> {
    let listing = |error| Error::io("listing", folder, error);
    if left_out.is_some() && folder.canonicalize().ok().as_deref() == left_out {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(listing)? {
        let entry = entry.map_err(listing)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(listing)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() && beir_files(&path).is_some() {
            files.push(path);
        } else if kind.is_dir() {
            search(&path, left_out, files)?;
        } else if format_of_name(&path).is_some() && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Imported files below `folder` that are not there any more.
fn missing_files(store: &Store, folder: &Path) -> Result<Vec<PathBuf>> {
    // As sources are named: relative to the database's folder, or absolute.
    let below = source_name(store.path(), folder)?;
    let below = Path::new(&below);
    let sources = store.sources()?.into_iter().map(|(source, _)| source);
    let sources = sources.filter(|source| source != STDIN);
    let inside = sources.filter(|source| match below.as_os_str().is_empty() {
        true => Path::new(source).is_relative(),
        false => Path::new(source).starts_with(below),
    });
    let files = inside.map(|source| source_path(store.path(), &source));
    Ok(files.filter(|file| !file.exists()).collect())
}
