//! Array files that become visible together: written under temporary names, synced, and
//! renamed once all of them are on disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayView2};

use crate::error::{Error, Result};
use crate::npy;

/// Files that are on disk under temporary names. Dropped, they are removed.
pub(super) struct StagedFiles {
    folder: PathBuf,
    /// Temporary and final path of each.
    files: Vec<(PathBuf, PathBuf)>,
}

impl StagedFiles {
    /// Prepares to write into `folder`, which is made where it is missing.
    ///
    /// The caller holds the store's write lock, so temporary files that are found belong to
    /// writers that were killed, and are removed.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| Error::io("creating", folder, error))?;
        let entries = fs::read_dir(folder).map_err(|e| Error::io("listing", folder, e))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.ends_with(".npy.tmp") {
                // What can't be removed is only litter.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder: folder.to_path_buf(), files: Vec::new() })
    }

    /// Writes a vector.
    pub fn vector(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let array = ArrayView1::from(values);
        self.stage(name, |temporary, path| npy::write_file(temporary, path, array))
    }

    /// Writes a matrix.
    pub fn matrix(&mut self, name: &str, values: ArrayView2<'_, f32>) -> Result<()> {
        self.stage(name, |temporary, path| npy::write_file(temporary, path, values))
    }

    /// Writes a text.
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.stage(name, |temporary, path| {
            let writing = |error| Error::io("writing", path, error);
            let mut file = File::create(temporary).map_err(writing)?;
            file.write_all(text.as_bytes()).map_err(writing)?;
            Ok(file)
        })
    }

    fn stage(
        &mut self,
        name: &str,
        write: impl FnOnce(&Path, &Path) -> Result<File>,
    ) -> Result<()> {
        let path = self.folder.join(name);
        let temporary = npy::temporary_name(&path).with_extension("npy.tmp");
        self.files.push((temporary.clone(), path.clone()));
        write(&temporary, &path).map(drop)
    }

    /// Gives all files their names and waits until these are on disk.
    pub fn publish(mut self) -> Result<()> {
        self.sync()?;
        for (temporary, path) in &self.files {
            fs::rename(temporary, path).map_err(|error| Error::io("writing", path, error))?;
        }
        self.files.clear();
        sync_folder(&self.folder)
    }
}

impl StagedFiles {
    /// Waits until the contents are on disk. There may be thousands of files, and Linux can
    /// wait for all of them at once.
    #[cfg(target_os = "linux")]
    fn sync(&self) -> Result<()> {
        use std::os::fd::AsRawFd;

        let syncing = |error| Error::io("writing", &self.folder, error);
        let folder = File::open(&self.folder).map_err(syncing)?;
        // SAFETY: the descriptor is open until the end of this function.
        match unsafe { libc::syncfs(folder.as_raw_fd()) } {
            0 => Ok(()),
            _ => Err(syncing(std::io::Error::last_os_error())),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn sync(&self) -> Result<()> {
        for (temporary, path) in &self.files {
            // Opened for writing, as Windows demands.
            fs::OpenOptions::new()
                .write(true)
                .open(temporary)
                .and_then(|file| file.sync_all())
                .map_err(|error| Error::io("writing", path, error))?;
        }
        Ok(())
    }
}

impl Drop for StagedFiles {
    fn drop(&mut self) {
        for (temporary, _) in &self.files {
            // Some may not have been written, or have their names already.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Waits until names in a folder are on disk. Only Unix has folders that can be synced.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::io("writing", folder, error))?;
    }
    Ok(())
}
