//! What is wrong with a store without any program noticing: values of another type than their
//! column's, and files that another database in the same folder names too.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use projection_core::{Error, ErrorKind, Result};
use rusqlite::types::ValueRef;

use crate::active::identity;
use crate::files::FileUse;
use crate::schema;
use crate::store::Store;

/// A value of another type than its column's. It is read as what it can only mean, if anything; a
/// row whose id it is belongs to no other row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddValue {
    /// The table.
    pub table: &'static str,
    /// The row's `rowid`, which is its id in tables that have one.
    pub row: i64,
    /// The column.
    pub column: &'static str,
    /// What was found and what was expected.
    pub what: String,
}

impl fmt::Display for OddValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, row {}: {} {}", self.table, self.row, self.column, self.what)
    }
}

/// Another database in the same folder that names files of a store for other texts or models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFiles {
    /// The other database.
    pub database: PathBuf,
    /// Number of files.
    pub files: usize,
}

impl fmt::Display for SharedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in the same folder names {} of the same files for other texts or models, so one \
             of the two stores has wrong vectors: run `projection embed --again` on both and \
             train their projections again",
            self.database.display(),
            self.files
        )
    }
}

impl Store {
    /// All values of the tables of the format that are not of their column's type, or texts that
    /// are not UTF-8.
    pub fn odd_values(&self) -> Result<Vec<OddValue>> {
        let mut odd = Vec::new();
        for (table, columns) in schema::columns() {
            let names: Vec<String> =
                columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let sql = format!("SELECT rowid, {} FROM {table} ORDER BY rowid", names.join(", "));
            self.each(&sql, [], |row| {
                for (at, (column, declared)) in columns.iter().enumerate() {
                    if let Some(what) = oddity(row.get_ref(at + 1)?, declared) {
                        odd.push(OddValue { table, row: row.get(0)?, column, what });
                    }
                }
                Ok(())
            })?;
        }
        Ok(odd)
    }

    /// The other databases in the store's folder that name some of its files for something else.
    /// Copies of the store name the same files for the same, which does no harm: the engine never
    /// changes a file, and keeps what another database in the folder names.
    ///
    /// # Errors
    /// Also if one of the other databases can't be read.
    pub fn shared_files(&self) -> Result<Vec<SharedFiles>> {
        let others = self.neighbours()?;
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let ours = self.files_with_uses()?;
        let mut shared = Vec::new();
        for other in others {
            let theirs = other.files_with_uses()?.into_iter();
            let files = theirs.filter(|(file, what)| ours.get(file).is_some_and(|o| o != what));
            let files = files.count();
            if files > 0 {
                shared.push(SharedFiles { database: other.path().to_path_buf(), files });
            }
        }
        Ok(shared)
    }

    /// What a person should know before the store is used: the first odd values, and files that
    /// another database names too.
    pub fn warnings(&self) -> Result<Vec<String>> {
        const SHOWN: usize = 3;
        let odd = self.odd_values()?;
        let mut warnings: Vec<String> = odd.iter().take(SHOWN).map(OddValue::to_string).collect();
        if odd.len() > SHOWN {
            let more = odd.len() - SHOWN;
            warnings.push(format!("{more} more values of a wrong type, see `projection inspect`"));
        }
        match self.shared_files() {
            Ok(shared) => warnings.extend(shared.iter().map(SharedFiles::to_string)),
            Err(error) => {
                warnings.push(format!("not compared with another database in the folder: {error}"))
            }
        }
        Ok(warnings)
    }

    /// The files that other databases in the folder name.
    ///
    /// # Errors
    /// Also if one of the other databases can't be read.
    pub fn files_of_neighbours(&self) -> Result<HashSet<PathBuf>> {
        let mut files = HashSet::new();
        for other in self.neighbours()? {
            let paths = other.files()?.into_iter().filter_map(|file| file.path.ok());
            files.extend(paths.filter_map(|path| path.canonicalize().ok()));
        }
        Ok(files)
    }

    /// The other stores in the folder.
    fn neighbours(&self) -> Result<Vec<Store>> {
        let folder = self.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let listing = |error| Error::io("listing", folder, error);
        let mut stores = Vec::new();
        for entry in fs::read_dir(folder).map_err(listing)? {
            let entry = entry.map_err(listing)?;
            let Ok(about) = entry.metadata() else { continue };
            // Links are not followed here. The size of a database is one of whole pages.
            let database = about.is_file() && about.len() > 0 && about.len() % 512 == 0;
            if !database || Some(entry.file_name().as_os_str()) == self.path().file_name() {
                continue;
            }
            match Store::open_read_only(entry.path()) {
                Ok(store) => stores.push(store),
                Err(error) if error.kind() == ErrorKind::InvalidStore => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stores)
    }

    /// All files that the database names, each with what it is for: the text of an embedding, or
    /// the model that it is a part of.
    fn files_with_uses(&self) -> Result<HashMap<PathBuf, String>> {
        let texts: Vec<(String, i64, String)> = self.rows(
            "SELECT 'answer', answer_id, text FROM answers UNION ALL \
             SELECT 'question', question_id, text FROM questions",
            [],
        )?;
        let texts: HashMap<(String, i64), String> =
            texts.into_iter().map(|(entity, id, text)| ((entity, id), text)).collect();
        let models = self.models()?;
        let model = |id: i64, linear: bool| {
            let found = models.iter().find(|model| identity(model) == (id, linear));
            found.map(|m| format!("{:?} {:?}", m.name, m.created_at))
        };
        let files = self.files()?.into_iter().filter_map(|file| {
            let what = match file.file_use {
                FileUse::Vector { entity_type, entity_id, .. } => {
                    texts.get(&(entity_type, entity_id)).cloned()
                }
                FileUse::Head { projection, .. } | FileUse::Part { projection, .. } => {
                    model(projection, false)
                }
                FileUse::LinearMatrix { projection } => model(projection, true),
            };
            Some((file.path.ok()?.canonicalize().ok()?, what.unwrap_or_default()))
        });
        Ok(files.collect())
    }
}

/// What is odd about a value in a column of the `declared` type.
fn oddity(value: ValueRef<'_>, declared: &str) -> Option<String> {
    let (expected, fits) = match declared {
        "INTEGER" => ("an integer", matches!(value, ValueRef::Integer(_))),
        "REAL" => ("a number", matches!(value, ValueRef::Real(_) | ValueRef::Integer(_))),
        "TEXT" => ("text", matches!(value, ValueRef::Text(_))),
        _ => ("another type", !matches!(value, ValueRef::Blob(_))),
    };
    match value {
        ValueRef::Null => None,
        ValueRef::Text(text) if fits => {
            std::str::from_utf8(text).is_err().then(|| "is not UTF-8".to_string())
        }
        _ if fits => None,
        ValueRef::Blob(bytes) => {
            Some(format!("is a BLOB of {} bytes, expected {expected}", bytes.len()))
        }
        other => Some(format!("is of type {}, expected {expected}", other.data_type())),
    }
}
