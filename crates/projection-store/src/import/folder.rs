//! Finding the question–answer files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{source_name, source_path};
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::store::Store;

/// The question–answer files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// The files, in ascending order of path.
    pub files: Vec<PathBuf>,
    /// Files that the store has imported from the folder and that are gone. The store keeps
    /// what they brought.
    pub missing: Vec<PathBuf>,
}

/// The files below `folder` whose names end in `.json`, and those that were imported from
/// there and are gone.
///
/// Folders in the folder are searched too. Names that begin with a dot are passed over, links
/// to folders are not followed, and the store's own folder of arrays is left out.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is no such folder, [`ErrorKind::Io`] where a folder
/// can't be listed.
pub fn question_answer_files(store: &Store, folder: impl AsRef<Path>) -> Result<Folder> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        let what = if folder.exists() { "not a folder" } else { "no such folder" };
        return Err(Error::new(ErrorKind::NotFound, format!("{}: {what}", folder.display())));
    }
    let arrays = source_path(store.path(), layout::EMBEDDINGS_FOLDER).canonicalize().ok();
    let mut found = Folder::default();
    search(folder, arrays.as_deref(), &mut found.files)?;
    found.files.sort();
    found.missing = missing(store, folder)?;
    Ok(found)
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
        if kind.is_dir() {
            search(&path, left_out, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Imported files below `folder` that are not there any more.
pub(super) fn missing(store: &Store, folder: &Path) -> Result<Vec<PathBuf>> {
    // As sources are named: relative to the database's folder, or absolute.
    let below = source_name(store.path(), folder)?;
    let below = Path::new(&below);
    let sources = store.sources()?.into_iter().map(|(source, _)| source);
    let missing = sources.filter(|source| {
        let inside = match below.as_os_str().is_empty() {
            true => Path::new(source).is_relative(),
            false => Path::new(source).starts_with(below),
        };
        inside && !source_path(store.path(), source).exists()
    });
    Ok(missing.map(|source| source_path(store.path(), &source)).collect())
}
