//! Files that become visible together with a change of the database.
//!
//! 1. Every file is written under a temporary name into the folder where it belongs.
//! 2. When the rows that name the files are written, the files are synced and get their names.
//! 3. The change is committed.
//!
//! All of that happens under the write lock of the [`Change`], but for vectors that were
//! [prepared](PreparedVectors) before. A program that is killed in 1 has
//! left temporary files, which the next writer removes. Killed between 2 and 3, it has left files
//! that no row names. For models, `mh_{id}.incomplete` is there until all files of the model have
//! their names, so that nobody takes some of them for a model. For embeddings, the file
//! `vectors.{tag}.incomplete` lists their names until the commit; the next change that adds
//! embeddings notes them as pending deletes.
//!
//! Several databases may share a folder, and each has a write lock of its own. So embeddings have
//! names that nobody else chooses, ids of models are claimed for the whole folder, and what a
//! killed writer left is cleared away by writers of the same database only, which know it by the
//! tag in its name.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayView2};
use projection_core::kernel::files;
use projection_core::{Error, Result, layout, npy};
use rusqlite::params;
use tempfile::{Builder, NamedTempFile, TempDir, TempPath};

use crate::embeddings::{EmbeddingModel, EntityType};
use crate::import::sha256;
use crate::store::{Change, Store, path_in_database};

/// The tag of a database in the names of its temporary files and lists. It comes from the file's
/// name, in which two databases of one folder differ, even if one is a copy of the other.
fn tag(database: &Path) -> String {
    let name = database.file_name().unwrap_or_default();
    sha256(name.to_string_lossy().as_bytes())[..8].to_string()
}

/// Files that are on disk under temporary names. Those that are not published are removed.
struct StagedFiles {
    folder: PathBuf,
    tag: String,
    /// Temporary and final path of each.
    files: Vec<(TempPath, PathBuf)>,
}

impl StagedFiles {
    /// Prepares to write into the folder of an embedding model, which is made if it is missing.
    /// Temporary files of killed writers are removed: the change holds the write lock, so the
    /// database has no other writer.
    fn new(change: &Change<'_>, model_name: &str) -> Result<Self> {
        let (folder, tag) = (change.embeddings_folder(model_name), tag(change.path()));
        fs::create_dir_all(&folder).map_err(|error| Error::io("creating", &folder, error))?;
        let ours = format!(".{tag}.");
        for (path, name) in entries(&folder) {
            if !(name.starts_with('.') && name.contains(&ours) && name.ends_with(".tmp")) {
                continue;
            }
            // What can't be removed does no harm.
            if !path.is_dir() {
                let _ = fs::remove_file(path);
            } else if let Ok(lock) = File::open(&path)
                && lock.try_lock().is_ok()
            {
                let _ = fs::remove_dir_all(path);
            }
        }
        Ok(Self { folder, tag, files: Vec::new() })
    }

    /// Writes the file called `name` by `write`, which gets its temporary and its final path.
    fn stage<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&Path, &Path) -> Result<T>,
    ) -> Result<()> {
        let path = self.folder.join(name);
        let (tag, process) = (&self.tag, std::process::id());
        let temporary = self.folder.join(format!(".{name}.{tag}.{process}.npy.tmp"));
        let temporary = TempPath::try_from_path(temporary)
            .map_err(|error| Error::io("writing", &path, error))?;
        write(&temporary, &path)?;
        self.files.push((temporary, path));
        Ok(())
    }

    /// A file that is on disk under a temporary name of the database's own.
    fn temporary_file(&self, contents: &[u8]) -> std::io::Result<NamedTempFile> {
        let prefix = format!(".{}.", self.tag);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // The next writer may be another user.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(&self.folder)?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn vector(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let array = ArrayView1::from(values);
        self.stage(name, |temporary, path| npy::write_file(temporary, path, array))
    }

    /// Gives all files their names and waits until they are on disk.
    fn publish(self) -> Result<()> {
        sync_all(&self.folder, self.files.iter().map(|(temporary, path)| (&**temporary, &**path)))?;
        for (temporary, path) in self.files {
            let renamed = temporary.persist(&path);
            renamed.map_err(|error| Error::io("writing", &path, error.error))?;
        }
        sync_folder(&self.folder)
    }
}

/// Waits until the contents of files in a folder are on disk; each has a temporary and a final
/// path. There may be thousands of them, and Linux can wait for all of them at once.
#[cfg(target_os = "linux")]
fn sync_all<'a>(folder: &Path, _: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Result<()> {
    let syncing = |error| Error::io("writing", folder, error);
    let opened = File::open(folder).map_err(syncing)?;
    rustix::fs::syncfs(&opened).map_err(|error| syncing(error.into()))
}

#[cfg(not(target_os = "linux"))]
fn sync_all<'a>(_: &Path, files: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Result<()> {
    for (temporary, path) in files {
        // Opened for writing, as Windows demands.
        File::options()
            .write(true)
            .open(temporary)
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io("writing", path, error))?;
    }
    Ok(())
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

/// Vectors that are on disk before the change begins that adds them, so that nobody has to wait for
/// thousands of files to be written. They are in a hidden folder, which is locked as long as
/// somebody writes: the next writer removes one that is not.
pub(crate) struct PreparedVectors {
    folder: TempDir,
    _lock: Option<File>,
    files: usize,
}

impl PreparedVectors {
    /// Prepares to write vectors by an embedding model.
    pub fn new(store: &Store, model_name: &str) -> Result<Self> {
        let parent = store.embeddings_folder(model_name);
        let writing = |error| Error::io("writing", &parent, error);
        fs::create_dir_all(&parent).map_err(writing)?;
        let prefix = format!(".{}.", tag(store.path()));
        loop {
            let folder = Builder::new().prefix(&prefix).suffix(".tmp").tempdir_in(&parent);
            let folder = folder.map_err(writing)?;
            let lock = File::open(folder.path()).ok();
            // A system that can't lock folders keeps leftovers.
            let _ = lock.as_ref().map(File::lock);
            // Another writer may have removed it before it was locked.
            if folder.path().exists() {
                return Ok(Self { folder, _lock: lock, files: 0 });
            }
        }
    }

    /// Writes a vector and returns its file, for [`NewVectors::add`].
    pub fn add(&mut self, values: &[f32]) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{}.npy", self.files));
        npy::write_file(&path, &path, ArrayView1::from(values))?;
        self.files += 1;
        Ok(path)
    }

    /// Waits until the contents are on disk, where that is one call: the change has less to do.
    pub fn sync(&self) -> Result<()> {
        if cfg!(target_os = "linux") { sync_all(self.folder.path(), []) } else { Ok(()) }
    }
}

/// A vector that is added, and the file that it is in already, if it is in one.
pub(crate) struct NewVector<'a> {
    pub values: &'a [f32],
    pub prepared: Option<PathBuf>,
}

/// Embeddings by one model that are added in a change.
pub(crate) struct NewVectors<'a> {
    change: &'a Change<'a>,
    model: &'a EmbeddingModel,
    staged: StagedFiles,
    /// Part of the files' names, so that no other database and no other change has them.
    unique: String,
    /// Lists the files' names, one a line, until the change is committed.
    list: PathBuf,
    listed: Vec<String>,
}

impl<'a> NewVectors<'a> {
    /// Files on the list of a killed program become pending deletes.
    pub fn new(change: &'a Change<'a>, model: &'a EmbeddingModel) -> Result<Self> {
        change.create_own_tables()?;
        let staged = StagedFiles::new(change, &model.name)?;
        let list = staged.folder.join(format!("vectors.{}.incomplete", staged.tag));
        let left = String::from_utf8(files::read(&list).unwrap_or_default()).unwrap_or_default();
        let listed: Vec<String> = left.lines().map(str::to_string).collect();
        for name in &listed {
            // It stays if a row names it by now.
            change.delete_file_later(&path_in_database(&model.name, name))?;
        }
        let unique: Option<(String,)> = change.row("SELECT lower(hex(randomblob(8)))", [])?;
        let unique = unique.map(|(unique,)| unique).unwrap_or_default();
        Ok(Self { change, model, staged, unique, list, listed })
    }

    /// Adds the embedding of a row, in place of the `present` one, a path in the database, which
    /// counts until the commit.
    pub fn add(
        &mut self,
        entity: EntityType,
        id: i64,
        vector: NewVector<'_>,
        present: Option<&str>,
    ) -> Result<()> {
        let name = layout::embedding_name(entity.name(), id, self.model.model_id);
        let name = name.replace(".npy", &format!("_{}.npy", self.unique));
        if let Some(present) = present {
            self.change.delete_file_later(present)?;
        }
        match vector.prepared {
            Some(file) => {
                let path = self.staged.folder.join(&name);
                let file = TempPath::try_from_path(file)
                    .map_err(|error| Error::io("writing", &path, error))?;
                self.staged.files.push((file, path));
            }
            None => self.staged.vector(&name, vector.values)?,
        }
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
        self.listed.push(name);
        Ok(())
    }

    /// Puts the files in place, before the commit. Returns their list, which is to be
    /// [removed](remove_list) after it.
    pub fn publish(self) -> Result<PathBuf> {
        let Self { staged, list, listed, .. } = self;
        let written = staged.temporary_file(listed.join("\n").as_bytes());
        let written = written.and_then(|file| Ok(file.persist(&list)?));
        written.map_err(|error| Error::io("writing", &list, error))?;
        staged.publish()?;
        Ok(list)
    }
}

/// Removes the list of [`NewVectors::publish`] after the commit.
pub(crate) fn remove_list(list: &Path) {
    // One that stays does no harm: rows name its files.
    let _ = fs::remove_file(list);
}

/// The files of a model that is being stored in a change.
pub(crate) struct ModelFiles {
    id: i64,
    model_name: String,
    staged: StagedFiles,
    marker: Marker,
}

/// The claim of an id and the sign that the model's files are incomplete. It goes with the value;
/// one that stays is removed by the next training.
struct Marker(PathBuf);

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl ModelFiles {
    /// Begins a model on embeddings by `model_name`, with an id that no model of any kind has.
    pub fn new(change: &Change<'_>, model_name: &str) -> Result<Self> {
        let staged = StagedFiles::new(change, model_name)?;
        let last = change.ids(
            "SELECT max((SELECT coalesce(max(mh_projection_id), 0) FROM multi_head_projections), \
             (SELECT coalesce(max(projection_id), 0) FROM projections))",
            [],
        )?[0];
        staged.remove_stale_markers(last);
        let mut id = last + 1;
        while !staged.claim(id)? {
            id += 1;
        }
        let marker = staged.folder.join(layout::incomplete_name(id));
        Ok(Self { id, model_name: model_name.to_string(), staged, marker: Marker(marker) })
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
        let Self { id, staged, marker, .. } = self;
        let folder = staged.folder.clone();
        let publish = || {
            sync_folder(&folder)?;
            staged.publish()?;
            // The marker stays until the commit: the next training removes it, and the files if
            // the database does not know them.
            change.commit()
        };
        let result = publish();
        if result.is_err() {
            remove_files(&folder, id);
        }
        drop(marker);
        result
    }
}

impl StagedFiles {
    /// Claims an id for the database, with a marker that holds its tag. Files of an id that this
    /// database does not know may be another one's. Such an id is passed over, unless a marker
    /// shows that an interrupted training of this database left the files, which are removed then.
    fn claim(&self, id: i64) -> Result<bool> {
        let marker = self.folder.join(layout::incomplete_name(id));
        let creating = |error| Error::io("creating", &marker, error);
        let file = self.temporary_file(self.tag.as_bytes()).map_err(creating)?;
        match file.persist_noclobber(&marker) {
            Ok(_) => {}
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                let ours = self.is_ours(&marker);
                if ours {
                    remove_files(&self.folder, id);
                }
                return Ok(ours);
            }
            Err(error) => return Err(creating(error.error)),
        }
        let embeddings = self.folder.parent().unwrap_or(Path::new(""));
        if has_files(embeddings, id, &marker) {
            let _ = fs::remove_file(&marker);
            return Ok(false);
        }
        Ok(true)
    }

    fn is_ours(&self, marker: &Path) -> bool {
        files::read(marker).is_ok_and(|tag| tag == self.tag.as_bytes())
    }

    /// Removes the markers of models that were committed by a writer that was killed right
    /// afterwards.
    fn remove_stale_markers(&self, last_id: i64) {
        for (path, name) in entries(&self.folder) {
            let id = name.strip_prefix("mh_").and_then(|name| name.strip_suffix(".incomplete"));
            let id = id.and_then(|id| id.parse::<i64>().ok());
            if id.is_some_and(|id| id <= last_id) && self.is_ours(&path) {
                let _ = fs::remove_file(path);
            }
        }
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

/// Whether any folder of arrays has a file of a model with this id, or a marker but for `own`.
fn has_files(embeddings: &Path, id: i64, own: &Path) -> bool {
    let has = |folder: &Path| {
        let marker = folder.join(layout::incomplete_name(id));
        marker != own && marker.exists() || files_of(folder, id).next().is_some()
    };
    has(embeddings) || entries(embeddings).any(|(path, _)| has(&path))
}

/// Removes the files of a model that is not in the database.
fn remove_files(folder: &Path, id: i64) {
    for path in files_of(folder, id) {
        // The next training that gets this id overwrites a file that stays.
        let _ = fs::remove_file(path);
    }
}
