//! Files that become visible together with a change of the database.
//!
//! 1. Every file is written under a temporary name into the folder where it belongs.
//! 2. When the rows that name the files are written, the files are synced and get their names.
//! 3. The change is committed.
//!
//! All of that happens under the write lock of the [`Change`]. A program that is killed in 1 has
//! left temporary files, which the next writer removes. Killed between 2 and 3, it has left files
//! that no row names. For models, `mh_{id}.incomplete` is there until all files of the model have
//! their names, so that nobody takes some of them for a model. For embeddings of rows that are
//! not there either, the file `vectors.incomplete` lists their names until the commit; the next
//! import notes them as pending deletes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayView2};
use projection_core::{Error, Result, atomic, layout, npy};
use rusqlite::params;
use tempfile::TempPath;

use crate::embeddings::{EmbeddingModel, EntityType};
use crate::store::{Change, path_in_database};

/// The list of embeddings that a change puts in place, one file name a line.
const LIST: &str = "vectors.incomplete";

/// Files that are on disk under temporary names. Those that are not published are removed.
struct StagedFiles {
    folder: PathBuf,
    /// Temporary and final path of each.
    files: Vec<(TempPath, PathBuf)>,
}

impl StagedFiles {
    /// Prepares to write into `folder`, which is made if it is missing. Temporary files of
    /// killed writers are removed: the caller holds the write lock, so there is no other writer.
    fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|error| Error::io("creating", &folder, error))?;
        let entries = fs::read_dir(&folder).map_err(|e| Error::io("listing", &folder, e))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let of_list = name.starts_with(&format!(".{LIST}."));
            if of_list || name.starts_with('.') && name.ends_with(".tmp") {
                // A file that can't be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder, files: Vec::new() })
    }

    /// Writes the file called `name` by `write`, which gets its temporary and its final path.
    fn stage<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&Path, &Path) -> Result<T>,
    ) -> Result<()> {
        let path = self.folder.join(name);
        let temporary = self.folder.join(format!(".{name}.{}.npy.tmp", std::process::id()));
        let temporary = TempPath::try_from_path(temporary)
            .map_err(|error| Error::io("writing", &path, error))?;
        write(&temporary, &path)?;
        self.files.push((temporary, path));
        Ok(())
    }

    fn vector(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let array = ArrayView1::from(values);
        self.stage(name, |temporary, path| npy::write_file(temporary, path, array))
    }

    /// Gives all files their names and waits until they are on disk.
    fn publish(self) -> Result<()> {
        self.sync()?;
        for (temporary, path) in self.files {
            let renamed = temporary.persist(&path);
            renamed.map_err(|error| Error::io("writing", &path, error.error))?;
        }
        sync_folder(&self.folder)
    }

    /// Waits until the contents are on disk. There may be thousands of files, and Linux can
    /// wait for all of them at once.
    #[cfg(target_os = "linux")]
    fn sync(&self) -> Result<()> {
        let syncing = |error| Error::io("writing", &self.folder, error);
        let folder = File::open(&self.folder).map_err(syncing)?;
        rustix::fs::syncfs(&folder).map_err(|error| syncing(error.into()))
    }

    #[cfg(not(target_os = "linux"))]
    fn sync(&self) -> Result<()> {
        for (temporary, path) in &self.files {
            // Opened for writing, as Windows demands.
            File::options()
                .write(true)
                .open(temporary)
                .and_then(|file| file.sync_all())
                .map_err(|error| Error::io("writing", path, error))?;
        }
        Ok(())
    }
}

/// Waits until the names in a folder are on disk. Only Unix can sync folders.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::io("writing", folder, error))?;
    }
    Ok(())
}

/// Embeddings by one model that are added in a change.
pub(crate) struct NewVectors<'a> {
    change: &'a Change<'a>,
    model: &'a EmbeddingModel,
    staged: StagedFiles,
    /// Names for [`LIST`], if one is kept.
    listed: Option<Vec<String>>,
}

impl<'a> NewVectors<'a> {
    /// For embeddings of rows that are there already: if the change is not committed, the next
    /// embeddings of the same rows replace the files.
    pub fn new(change: &'a Change<'a>, model: &'a EmbeddingModel) -> Result<Self> {
        let staged = StagedFiles::new(change.embeddings_folder(&model.name))?;
        Ok(Self { change, model, staged, listed: None })
    }

    /// For embeddings of new rows, with [`LIST`]. Files on the list of a killed program become
    /// pending deletes. Once the change is committed, [`remove_list`] is to be called.
    pub fn with_list(change: &'a Change<'a>, model: &'a EmbeddingModel) -> Result<Self> {
        let mut new = Self::new(change, model)?;
        let left = fs::read_to_string(new.staged.folder.join(LIST)).unwrap_or_default();
        let left: Vec<String> = left.lines().map(str::to_string).collect();
        for name in &left {
            // It stays if a row names it by now.
            change.delete_file_later(&path_in_database(&model.name, name))?;
        }
        new.listed = Some(left);
        Ok(new)
    }

    /// Adds the embedding of a row, in place of the `present` one, a path in the database. The
    /// new file has another name than that: until the commit, the present one counts.
    pub fn add(
        &mut self,
        entity: EntityType,
        id: i64,
        vector: &[f32],
        present: Option<&str>,
    ) -> Result<()> {
        let mut name = layout::embedding_name(entity.name(), id, self.model.model_id);
        if let Some(present) = present {
            if present.rsplit(['/', '\\']).next() == Some(&name) {
                name = name.replace(".npy", "_b.npy");
            }
            self.change.delete_file_later(present)?;
        }
        self.staged.vector(&name, vector)?;
        self.change.execute(
            "INSERT OR REPLACE INTO embeddings (model_id, entity_type, entity_id, vector_path) \
             VALUES (?1, ?2, ?3, ?4)",
            params![
                self.model.model_id,
                entity.name(),
                id,
                path_in_database(&self.model.name, &name)
            ],
        )?;
        self.listed.iter_mut().for_each(|listed| listed.push(name.clone()));
        Ok(())
    }

    /// Puts the files in place, before the commit.
    pub fn publish(self) -> Result<()> {
        if let Some(listed) = &self.listed {
            let list = self.staged.folder.join(LIST);
            atomic::write(&list, |file| file.write_all(listed.join("\n").as_bytes()))?;
        }
        self.staged.publish()
    }
}

/// Removes the list of [`NewVectors::with_list`] in `folder`, after the commit.
pub(crate) fn remove_list(folder: &Path) {
    // One that stays does no harm: rows name its files.
    let _ = fs::remove_file(folder.join(LIST));
}

/// The files of a model that is being stored in a change.
pub(crate) struct ModelFiles {
    id: i64,
    model_name: String,
    staged: StagedFiles,
}

impl ModelFiles {
    /// Begins a model on embeddings by `model_name`, with an id that no model of any kind has.
    pub fn new(change: &Change<'_>, model_name: &str) -> Result<Self> {
        let staged = StagedFiles::new(change.embeddings_folder(model_name))?;
        let folder = &staged.folder;
        let last = change.ids(
            "SELECT max((SELECT coalesce(max(mh_projection_id), 0) FROM multi_head_projections), \
             (SELECT coalesce(max(projection_id), 0) FROM projections))",
            [],
        )?[0];
        remove_stale_markers(folder, last);
        let embeddings = folder.parent().map(Path::to_path_buf).unwrap_or_default();
        // Files of an id that this database does not know may be another store's. Such an id is
        // passed over, unless a marker shows that an interrupted training left the files.
        let mut id = last + 1;
        while has_files(&embeddings, id) && !folder.join(layout::incomplete_name(id)).exists() {
            id += 1;
        }
        Ok(Self { id, model_name: model_name.to_string(), staged })
    }

    /// The model's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Adds a vector and returns its path in the database.
    pub fn vector(&mut self, name: &str, values: &[f32]) -> Result<String> {
        self.staged.vector(name, values)?;
        Ok(path_in_database(&self.model_name, name))
    }

    /// Adds a matrix and returns its path in the database.
    pub fn matrix(&mut self, name: &str, values: ArrayView2<'_, f32>) -> Result<String> {
        self.staged.stage(name, |temporary, path| npy::write_file(temporary, path, values))?;
        Ok(path_in_database(&self.model_name, name))
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.staged.stage(name, |temporary, path| {
            fs::write(temporary, text).map_err(|error| Error::io("writing", path, error))
        })
    }

    /// Puts the files in place and commits the change.
    pub fn publish(self, change: Change<'_>) -> Result<()> {
        let Self { id, staged, .. } = self;
        let folder = staged.folder.clone();
        let marker = folder.join(layout::incomplete_name(id));
        let publish = || {
            let creating = |error| Error::io("creating", &marker, error);
            File::create(&marker).and_then(|file| file.sync_all()).map_err(creating)?;
            sync_folder(&folder)?;
            remove_files(&folder, id);
            staged.publish()?;
            // All files are whole now. Killed before the commit, the model stays in the folder,
            // whole, and the database does not know it: its id is passed over.
            let _ = fs::remove_file(&marker);
            change.commit()
        };
        let result = publish();
        if result.is_err() {
            remove_files(&folder, id);
        }
        // A marker that stays is removed by the next training.
        let _ = fs::remove_file(&marker);
        result
    }
}

/// The entries of a folder; none if it can't be listed.
fn entries(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()))
}

/// The files in a folder that belong to the model with this id.
fn files_of(folder: &Path, id: i64) -> impl Iterator<Item = PathBuf> {
    let (prefix, linear) = (format!("mh_{id}_"), layout::linear_name(id));
    entries(folder)
        .filter(move |(_, name)| name.starts_with(&prefix) || *name == linear)
        .map(|(path, _)| path)
}

/// Whether any folder of the store has a file of a model with this id.
fn has_files(embeddings: &Path, id: i64) -> bool {
    let has = |folder: &Path| files_of(folder, id).next().is_some();
    has(embeddings) || entries(embeddings).any(|(path, _)| has(&path))
}

/// Removes the files of a model that is not in the database.
fn remove_files(folder: &Path, id: i64) {
    for path in files_of(folder, id) {
        // The next training that gets this id overwrites a file that stays.
        let _ = fs::remove_file(path);
    }
}

/// Removes the markers of models that were committed by a writer that was killed right
/// afterwards.
fn remove_stale_markers(folder: &Path, last_id: i64) {
    for (path, name) in entries(folder) {
        let id = name.strip_prefix("mh_").and_then(|name| name.strip_suffix(".incomplete"));
        if id.and_then(|id| id.parse::<i64>().ok()).is_some_and(|id| id <= last_id) {
            let _ = fs::remove_file(path);
        }
    }
}
