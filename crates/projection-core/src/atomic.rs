//! Files that appear whole or not at all: the one way in which the engine writes a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Links to links that are followed, as Linux does.
const MAX_LINKS: usize = 40;

/// Writes the file at `path` by what `fill` writes, and waits until it is on disk. An existing
/// file is replaced only by the complete new one. Links are followed, and stay; a device or a
/// pipe is written to.
///
/// # Errors
/// [`ErrorKind::Io`] or [`ErrorKind::NotFound`], naming the file. No partial file is left, and
/// an existing one stays as it was.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    stage(path, fill)?.publish()
}

/// A file that is on disk but does not have its name yet. Dropped, it is removed. Several staged
/// files can be published together, once all of them are written.
pub struct Staged {
    path: PathBuf,
    /// `None` for a device or a pipe, which was written to directly.
    file: Option<(tempfile::NamedTempFile, PathBuf)>,
}

/// The first half of [`write()`]; [`Staged::publish`] is the second.
///
/// # Errors
/// As [`write()`].
pub fn stage(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<Staged> {
    let writing = |error| Error::io("writing", path, error);
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let what = format!("writing {}: it is a folder", path.display());
            return Err(Error::new(ErrorKind::Io, what));
        }
        Ok(found) if !found.is_file() => {
            let file = OpenOptions::new().write(true).open(path).map_err(writing)?;
            fill_file(&file, fill).map_err(writing)?;
            return Ok(Staged { path: path.to_path_buf(), file: None });
        }
        Ok(_) => path.canonicalize().map_err(writing)?,
        // Nothing is there, unless a link leads to nothing yet.
        Err(_) => follow_links(path).map_err(writing)?,
    };
    let folder =
        folder_of(&target).ok_or_else(|| writing(io::ErrorKind::InvalidFilename.into()))?;
    let temporary = temporary_file(folder).map_err(writing)?;
    fill_file(temporary.as_file(), fill)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(writing)?;
    Ok(Staged { path: path.to_path_buf(), file: Some((temporary, target)) })
}

impl Staged {
    /// Moves the complete file to its path.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], naming the file.
    pub fn publish(self) -> Result<()> {
        let Some((temporary, target)) = self.file else { return Ok(()) };
        let publish = || {
            temporary.persist(&target)?;
            folder_of(&target).map_or(Ok(()), sync_folder)
        };
        publish().map_err(|error| Error::io("writing", &self.path, error))
    }
}

/// The folder of a file; `None` for a path without a file's name.
fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

fn fill_file(
    file: &File,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    fill(&mut writer)?;
    writer.flush()
}

/// Follows symbolic links. The target of the last one need not exist.
///
/// # Errors
/// If links lead in a circle.
pub fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// A file without a name of its own yet, which is removed unless it gets one. Others may read
/// it as far as the process's umask lets them.
fn temporary_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// The name under which a folder is written before it takes its place; another one each time.
pub fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Waits until a new name in a folder is on disk. Only Unix has folders that can be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_the_old_one_after_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |writer| writer.write_all(b"first")).unwrap();
        write(&path, |writer| writer.write_all(b"second")).unwrap();
        let error = write(&path, |writer| {
            writer.write_all(b"half of the thi")?;
            Err(io::Error::other("the disk broke"))
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("a.bin") && message.contains("broke"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_folders_and_names_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| write(path, |_| Ok(())).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::Io);
        assert_eq!(kind(Path::new("/")), ErrorKind::Io);
        assert_eq!(kind(&folder.path().join("no/a.bin")), ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("below")).unwrap();
        fs::write(path("below/old"), "old").unwrap();
        for (target, name) in [("below/old", "link"), ("below/new", "dangling"), ("a", "a")] {
            std::os::unix::fs::symlink(target, path(name)).unwrap();
        }
        for name in ["link", "dangling"] {
            write(&path(name), |writer| writer.write_all(name.as_bytes())).unwrap();
            assert!(fs::symlink_metadata(path(name)).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(path(name)).unwrap(), name);
        }
        assert_eq!(fs::read_to_string(path("below/new")).unwrap(), "dangling");
        assert!(write(&path("a"), |_| Ok(())).is_err());
        let pipe = path("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, |writer| writer.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
    }
}
