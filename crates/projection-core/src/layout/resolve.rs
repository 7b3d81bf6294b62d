//! From the paths in a store's database to its files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{EMBEDDINGS_FOLDER, model_folder};
use crate::error::{Error, ErrorKind, Result};

/// Resolves paths in the database of a store.
///
/// Such a path is relative to the database, absolute, or relative to the working directory of
/// the program that wrote it. If none of these is a file, the store was moved, and the file is
/// looked for by its name in the store's embeddings folders, the one of the embedding model
/// first. A path never leads outside the store's folder unless the caller allows it.
pub struct Resolver<'a> {
    database: &'a Path,
    store: &'a Path,
    /// The store's folder once links are followed, if the files must lie in it.
    inside: Option<PathBuf>,
    /// Whether files of a folder may be used, by folder: stores have thousands of files in few
    /// folders.
    folders: HashMap<PathBuf, bool>,
    /// Where files of a moved store are looked for.
    embeddings: [PathBuf; 2],
    /// The other folders of embeddings, once they were listed.
    others: Option<Vec<PathBuf>>,
}

impl<'a> Resolver<'a> {
    /// A resolver for the store at `database` whose vectors are by `model_name`.
    pub fn new(database: &'a Path, model_name: &str, allow_outside: bool) -> Self {
        let store = match database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let embeddings = store.join(EMBEDDINGS_FOLDER);
        Self {
            database,
            store,
            // A folder that cannot be followed has no files either.
            inside: (!allow_outside).then(|| store.canonicalize().unwrap_or_default()),
            folders: HashMap::new(),
            embeddings: [embeddings.join(model_folder(model_name)), embeddings],
            others: None,
        }
    }

    /// The file that the database calls `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file, [`ErrorKind::InvalidStore`] if the
    /// path leads outside the store's folder and must not.
    pub fn resolve(&mut self, path: &str) -> Result<PathBuf> {
        let mut outside = None;
        for candidate in [self.store.join(path), PathBuf::from(path)] {
            match self.check(&candidate) {
                Some(true) => return Ok(candidate),
                // What the working directory happens to hold under a relative name is not
                // meant.
                Some(false) if candidate.is_absolute() || candidate.starts_with(self.store) => {
                    outside.get_or_insert(candidate);
                }
                _ => {}
            }
        }
        // Paths may have been written on Windows.
        let name = path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty());
        if let Some(found) = name.and_then(|name| self.find(name)) {
            return Ok(found);
        }
        let database = self.database.display();
        Err(match outside {
            Some(found) => Error::new(
                ErrorKind::InvalidStore,
                format!(
                    "{database}: the path '{path}' leads to {}, outside the store's folder",
                    found.display()
                ),
            ),
            None => Error::new(
                ErrorKind::NotFound,
                format!(
                    "{database}: no file '{path}', neither at this path nor by its name in {}",
                    self.embeddings[1].display()
                ),
            ),
        })
    }

    /// The file of this name in one of the folders of embeddings.
    fn find(&mut self, name: &str) -> Option<PathBuf> {
        for folder in self.embeddings.clone() {
            if let Some(allowed) = self.check(&folder.join(name)) {
                return allowed.then(|| folder.join(name));
            }
        }
        if self.others.is_none() {
            let entries = fs::read_dir(&self.embeddings[1]).into_iter().flatten().flatten();
            let mut folders: Vec<_> =
                entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
            folders.sort();
            self.others = Some(folders);
        }
        let others = self.others.iter().flatten();
        let path = others.map(|folder| folder.join(name)).find(|path| path.is_file())?;
        (self.check(&path) == Some(true)).then_some(path)
    }

    /// Whether a path leads to a file that may be used; `None` if there is no file.
    fn check(&mut self, path: &Path) -> Option<bool> {
        let found = fs::symlink_metadata(path).ok()?;
        if found.is_symlink() {
            let file = path.canonicalize().ok()?;
            return file.is_file().then(|| self.inside.iter().all(|store| file.starts_with(store)));
        }
        let (folder, inside) = (path.parent()?, &self.inside);
        if !found.is_file() {
            return None;
        }
        if let Some(allowed) = self.folders.get(folder) {
            return Some(*allowed);
        }
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let place = place.canonicalize().ok()?;
        let allowed = inside.iter().all(|store| place.starts_with(store));
        self.folders.insert(folder.to_path_buf(), allowed);
        Some(allowed)
    }
}

/// The file that the database at `database` calls `path`, see [`Resolver`].
///
/// # Errors
/// As [`Resolver::resolve`].
pub fn resolve(
    database: &Path,
    path: &str,
    model_name: &str,
    allow_outside: bool,
) -> Result<PathBuf> {
    Resolver::new(database, model_name, allow_outside).resolve(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_inside_the_store_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let database = store.join("lda.db");
        let a = store.join("embeddings/m/a.npy");
        fs::create_dir_all(store.join("embeddings/m")).unwrap();
        fs::create_dir_all(store.join("embeddings/other")).unwrap();
        let secret = folder.path().join("secret.npy");
        for file in [&secret, &a, &store.join("embeddings/b.npy")] {
            fs::write(file, "").unwrap();
        }
        fs::write(store.join("embeddings/other/c.npy"), "").unwrap();
        let (missing, outside) = (Err(ErrorKind::NotFound), Err(ErrorKind::InvalidStore));
        let mut cases = vec![
            ("embeddings/m/a.npy", Ok(a.clone())),
            ("/gone/embeddings/a.npy", Ok(a.clone())),
            ("gone/a.npy", Ok(a.clone())),
            (a.to_str().unwrap(), Ok(a.clone())),
            ("C:\\gone\\b.npy", Ok(store.join("embeddings/b.npy"))),
            ("c.npy", Ok(store.join("embeddings/other/c.npy"))),
            ("gone/d.npy", missing.clone()),
            ("embeddings/m", missing.clone()),
            ("", missing.clone()),
            ("../secret.npy", outside.clone()),
            ("embeddings/m/../../../secret.npy", outside.clone()),
            (secret.to_str().unwrap(), outside.clone()),
        ];
        if cfg!(unix) {
            #[cfg(unix)]
            for (target, name) in [("secret.npy", "link.npy"), ("", "folder"), ("gone", "none.npy")]
            {
                let link = store.join("embeddings").join(name);
                std::os::unix::fs::symlink(folder.path().join(target), link).unwrap();
            }
            cases.push(("embeddings/link.npy", outside.clone()));
            cases.push(("embeddings/folder/secret.npy", outside));
            cases.push(("embeddings/none.npy", missing));
        }
        for allow_outside in [false, true] {
            let mut many = Resolver::new(&database, "m", allow_outside);
            for (path, expected) in &cases {
                let found = many.resolve(path).map_err(|error| error.kind());
                match expected {
                    Err(ErrorKind::InvalidStore) if allow_outside => assert!(found.is_ok()),
                    _ => assert_eq!(&found, expected, "{path}"),
                }
            }
        }
    }
}
