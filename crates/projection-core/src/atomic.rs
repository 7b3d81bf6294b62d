//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Writes the file `path` by what `fill` writes, and waits until it is on disk. A file that
/// was there is replaced only by the complete new one.
///
/// # Errors
/// [`ErrorKind::Io`] or [`ErrorKind::NotFound`], naming the file; no partial file is left, and
/// what was there stays. [`ErrorKind::Io`] also where `path` is a folder or no regular file.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let refuse =
        |what: &str| Err(Error::new(ErrorKind::Io, format!("writing {}: {what}", path.display())));
    if path.file_name().is_none() {
        return refuse("not the name of a file");
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return refuse("it is a folder"),
        Ok(there) if !there.is_file() => return refuse("it is not a regular file"),
        // Where it can't be asked for, writing says why.
        _ => {}
    }
    let writing = |error| Error::io("writing", path, error);
    let temporary = temporary_name(path);
    let result = File::create(&temporary)
        .and_then(|file| {
            let mut writer = BufWriter::with_capacity(1 << 16, file);
            fill(&mut writer)?;
            writer.flush()?;
            writer.get_ref().sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(writing);
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return result;
    }
    sync_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()))
}

/// The name under which a file or folder is written before it takes its place; another one each time.
pub fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Waits until a new name in a folder is on disk. Only Unix has folders that can be synced.
fn sync_folder(folder: Option<&Path>) -> Result<()> {
    let folder = folder.unwrap_or(Path::new("."));
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::io("writing", folder, error))?;
    }
    Ok(())
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
            Err(std::io::Error::other("the disk broke"))
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
}
