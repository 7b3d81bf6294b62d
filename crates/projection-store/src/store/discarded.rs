//! Vector files that nothing needs any more.
//!
//! A change that has no more use for a file notes that in the database. The file goes once
//! the change is committed: right afterwards, or, where the program was killed in between,
//! with the next change that discards or imports anything.

use super::{Change, Store};
use crate::error::Result;
use crate::layout;

/// Files that are removed while the write lock is held.
const AT_ONCE: i64 = 500;

impl Change<'_> {
    /// Notes files, given by their recorded paths, to be removed after the commit.
    pub(crate) fn discard_files(&self, recorded_paths: &[String]) -> Result<()> {
        for path in recorded_paths {
            self.execute("INSERT OR IGNORE INTO engine_discarded_files VALUES (?1)", [path])?;
        }
        Ok(())
    }
}

impl Store {
    /// Removes the files that were noted, as far as they are ours: named as vectors are,
    /// inside the store, and not recorded for anything else. To be called after a commit.
    ///
    /// The write lock is held meanwhile: whoever puts a new vector under one of the names
    /// holds it too, until the vector is recorded. There may be many files and removing is
    /// slow on some disks, so it is let go now and then for other writers.
    ///
    /// Trouble is no error: what stays is litter, which `projection inspect` shows.
    pub(crate) fn remove_discarded_files(&mut self) {
        while let Ok(true) = self.remove_some_discarded_files() {}
    }

    /// Whether there are more.
    fn remove_some_discarded_files(&mut self) -> Result<bool> {
        let waiting = "SELECT count(*) > 0 FROM engine_discarded_files";
        if !self.connection.query_row(waiting, [], |row| row.get(0)).map_err(self.reading())? {
            return Ok(false);
        }
        let (database, allow_outside) = (self.path.clone(), self.allow_outside);
        let change = self.begin()?;
        change.execute(
            "DELETE FROM engine_discarded_files WHERE vector_path IN (SELECT vector_path FROM \
             embeddings)",
            [],
        )?;
        let unused = change.query(
            "DELETE FROM engine_discarded_files WHERE vector_path IN (SELECT vector_path FROM \
             engine_discarded_files LIMIT ?1) RETURNING vector_path",
            [AT_ONCE],
            |row| row.get::<_, String>(0),
        )?;
        for recorded in unused.iter().filter(|recorded| is_vector(recorded)) {
            if let Ok(file) = layout::resolve(&database, recorded, "", allow_outside) {
                let _ = std::fs::remove_file(file);
            }
        }
        change.commit()?;
        Ok(true)
    }
}

/// Whether a recorded path ends in a name that vectors have.
fn is_vector(recorded: &str) -> bool {
    let name = recorded.rsplit(['/', '\\']).next().unwrap_or(recorded);
    (name.starts_with("answer_") || name.starts_with("question_"))
        && name.contains("_model_")
        && name.ends_with(".npy")
}
