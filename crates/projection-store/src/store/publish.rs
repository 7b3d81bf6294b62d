//! Making a trained model visible as a whole: its new id, its files, and the marker that
//! tells a half-made model in a folder from a whole one.

use std::fs;
use std::path::{Path, PathBuf};

use super::Change;
use super::files::{StagedFiles, sync_folder};
use crate::error::{Error, Result};
use crate::layout;

/// A model that is being stored, under the lock that its [`Change`] holds.
pub(super) struct Publishing {
    folder: PathBuf,
    id: i64,
    /// The model's files so far, on disk under temporary names.
    pub files: StagedFiles,
}

impl Publishing {
    /// Begins a model whose files go into `folder`, with an id that no model of any kind
    /// has.
    pub fn new(change: &Change<'_>, folder: &Path) -> Result<Self> {
        let files = StagedFiles::new(folder)?;
        let last = change.query(
            "SELECT max((SELECT coalesce(max(mh_projection_id), 0) FROM multi_head_projections), \
             (SELECT coalesce(max(projection_id), 0) FROM projections))",
            [],
            |row| row.get::<_, i64>(0),
        )?[0];
        remove_stale_markers(folder, last);
        let embeddings = folder.parent().map(Path::to_path_buf).unwrap_or_default();
        // Files of an id that this database does not know may be another store's, so the
        // id is passed over, unless a marker shows that they are left of an interrupted
        // training.
        let mut id = last + 1;
        while has_files(&embeddings, id) && !folder.join(layout::incomplete_name(id)).exists() {
            id += 1;
        }
        Ok(Self { folder: folder.to_path_buf(), id, files })
    }

    /// The model's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Gives all files their names, then commits the rows that name them.
    pub fn publish(self, change: Change<'_>) -> Result<()> {
        let Self { folder, id, files } = self;
        let marker = folder.join(layout::incomplete_name(id));
        let publish = || {
            let creating = |error| Error::io("creating", &marker, error);
            fs::File::create(&marker).and_then(|file| file.sync_all()).map_err(creating)?;
            sync_folder(&folder)?;
            remove_files(&folder, id);
            files.publish()?;
            // All files are whole now. Killed before the commit, the model stays in the folder,
            // whole, and the database does not know it: its id is passed over.
            let _ = fs::remove_file(&marker);
            change.commit()
        };
        let result = publish();
        if result.is_err() {
            remove_files(&folder, id);
        }
        // The model is there now, or its files are gone; a marker that stays is removed by
        // the next training.
        let _ = fs::remove_file(&marker);
        result
    }
}

/// Whether a file belongs to the model with this id.
fn is_of(id: i64) -> impl Fn(&fs::DirEntry) -> bool {
    let (prefix, linear) = (format!("mh_{id}_"), layout::linear_name(id));
    move |entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&prefix) || name == linear.as_str()
    }
}

/// Whether any folder of the store has a file of a projection with this id.
fn has_files(embeddings: &Path, id: i64) -> bool {
    let in_folder = |folder: &Path| {
        fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| is_of(id)(&entry))
    };
    let below = fs::read_dir(embeddings).into_iter().flatten().flatten();
    in_folder(embeddings) || below.into_iter().any(|entry| in_folder(&entry.path()))
}

/// Removes the files of a projection that is not in the database.
fn remove_files(folder: &Path, id: i64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(is_of(id)) {
        // A file that stays is overwritten by the next training that gets this id.
        let _ = fs::remove_file(entry.path());
    }
}

/// Removes the markers of projections that were committed by a writer that was killed
/// right afterwards.
fn remove_stale_markers(folder: &Path, last_id: i64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id =
            name.to_str().and_then(|name| name.strip_prefix("mh_")?.strip_suffix(".incomplete"));
        if id.and_then(|id| id.parse::<i64>().ok()).is_some_and(|id| id <= last_id) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
