//! Resolving many recorded paths of one store.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::resolve;
use crate::error::Result;

/// From so many paths on, listing their folders is faster than asking about each.
const MANY: usize = 256;

/// Resolves recorded paths as [`resolve`] does. Where there are many, folders are listed once
/// and files in them are not asked about one by one.
pub struct Resolver<'a> {
    database: &'a Path,
    model_name: &'a str,
    allow_outside: bool,
    /// Whether to list folders at all.
    lists: bool,
    folders: HashMap<PathBuf, HashSet<OsString>>,
}

impl<'a> Resolver<'a> {
    /// A resolver for about `paths` paths of the store whose database is `database`.
    pub fn new(database: &'a Path, model_name: &'a str, allow_outside: bool, paths: usize) -> Self {
        let lists = paths >= MANY;
        Self { database, model_name, allow_outside, lists, folders: HashMap::new() }
    }

    /// The array file that the database records as `recorded`.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn resolve(&mut self, recorded: &str) -> Result<PathBuf> {
        if self.lists
            && let Some(path) = self.listed(recorded)
        {
            return Ok(path);
        }
        resolve(self.database, recorded, self.model_name, self.allow_outside)
    }

    /// The file, where it is an ordinary one, no link, at the recorded place inside the store.
    fn listed(&mut self, recorded: &str) -> Option<PathBuf> {
        let store = match self.database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let path = store.join(recorded);
        let (folder, name) = (path.parent()?, path.file_name()?);
        if !self.folders.contains_key(folder) {
            let names = if self.is_allowed(folder, store) { files_in(folder) } else { None };
            self.folders.insert(folder.to_path_buf(), names.unwrap_or_default());
        }
        self.folders.get(folder)?.contains(name).then_some(path)
    }

    fn is_allowed(&self, folder: &Path, store: &Path) -> bool {
        self.allow_outside || super::is_inside(folder, store)
    }
}

/// The names of the ordinary files in a folder, which may lie anywhere else if they are links.
fn files_in(folder: &Path) -> Option<HashSet<OsString>> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    Some(files.map(|entry| entry.file_name()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_resolve_as_each_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let database = store.join("lda.db");
        std::fs::create_dir_all(store.join("embeddings/m")).unwrap();
        std::fs::write(folder.path().join("secret.npy"), "").unwrap();
        std::fs::write(store.join("embeddings/m/a.npy"), "").unwrap();
        #[cfg(unix)]
        for (target, name) in [("secret.npy", "file.npy"), ("", "folder")] {
            let link = store.join("embeddings").join(name);
            std::os::unix::fs::symlink(folder.path().join(target), link).unwrap();
        }
        for allow_outside in [false, true] {
            let mut many = Resolver::new(&database, "m", allow_outside, MANY);
            let mut few = Resolver::new(&database, "m", allow_outside, 1);
            for recorded in [
                "embeddings/m/a.npy",
                "gone/a.npy",
                "embeddings/m/gone.npy",
                "../secret.npy",
                "embeddings/file.npy",
                "embeddings/folder/secret.npy",
                "embeddings/m/../../../secret.npy",
                folder.path().join("secret.npy").to_str().unwrap(),
                "",
            ] {
                let (one, other) = (many.resolve(recorded), few.resolve(recorded));
                assert_eq!(one.is_ok(), other.is_ok(), "{recorded}");
                assert_eq!(one.ok(), other.ok(), "{recorded}");
            }
        }
    }
}
