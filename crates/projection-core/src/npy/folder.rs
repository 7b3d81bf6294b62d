//! Reading many small arrays of one folder: one open and one read each, by names relative to
//! the folder's handle.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::NpyArray;
use crate::error::Result;

/// Files of fewer bytes are read at once; others the usual way.
const AT_ONCE: usize = 1 << 16;

/// Reads arrays, most of which lie in the folder of the one before.
pub(crate) struct FolderReader {
    /// The last folder, with its handle where it has one.
    folder: PathBuf,
    handle: Option<File>,
    buffer: Vec<u8>,
}

impl FolderReader {
    /// A reader that has no folder yet.
    pub fn new() -> Self {
        Self { folder: PathBuf::new(), handle: None, buffer: vec![0; AT_ONCE] }
    }

    /// [`NpyArray::load`].
    ///
    /// # Errors
    /// As [`NpyArray::load`].
    pub fn load(&mut self, path: &Path) -> Result<NpyArray> {
        // Whatever is unusual is left to the careful way, which finds the right words for it.
        match self.read_at_once(path) {
            Some(length) => match NpyArray::from_whole(&self.buffer[..length], path) {
                Some(array) => Ok(array),
                None => NpyArray::load(path),
            },
            None => NpyArray::load(path),
        }
    }

    /// Reads a file into the buffer, where it is shorter than that, and gives its length.
    #[cfg(target_os = "linux")]
    fn read_at_once(&mut self, path: &Path) -> Option<usize> {
        use std::ffi::CString;
        use std::io::Read;
        use std::os::fd::{AsRawFd, FromRawFd};
        use std::os::unix::ffi::OsStrExt;

        let (folder, name) = (path.parent()?, path.file_name()?);
        if self.handle.is_none() || self.folder != folder {
            let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            self.handle = File::open(place).ok();
            self.folder = folder.to_path_buf();
        }
        let handle = self.handle.as_ref()?;
        let name = CString::new(name.as_bytes()).ok()?;
        // Opening a pipe does not wait for its other end, and reading one does not wait for
        // data.
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the handle is an open descriptor, and the name ends with NUL.
        let file = unsafe { libc::openat(handle.as_raw_fd(), name.as_ptr(), flags) };
        if file < 0 {
            return None;
        }
        // SAFETY: it was opened just now and belongs to nobody else.
        let mut file = unsafe { File::from_raw_fd(file) };
        let length = file.read(&mut self.buffer).ok()?;
        (length < self.buffer.len()).then_some(length)
    }

    #[cfg(not(target_os = "linux"))]
    fn read_at_once(&mut self, _: &Path) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::npy;
    use ndarray::{Array1, array};

    #[test]
    fn gives_what_the_usual_way_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("other")).unwrap();
        npy::save(path("a.npy"), array![1.0f64, 2.0].view()).unwrap();
        npy::save(path("other/a.npy"), array![[3.0f32, 4.0]].view()).unwrap();
        // Larger than what is read at once.
        let large = Array1::from_elem(AT_ONCE, 0.5f32);
        npy::save(path("large.npy"), large.view()).unwrap();
        std::fs::write(path("cut.npy"), &std::fs::read(path("a.npy")).unwrap()[..100]).unwrap();
        let mut reader = FolderReader::new();
        for name in ["a.npy", "other/a.npy", "large.npy", "a.npy"] {
            let (found, expected) = (reader.load(&path(name)), NpyArray::load(path(name)));
            let (found, expected) = (found.unwrap(), expected.unwrap());
            assert_eq!((found.shape(), found.to_f64()), (expected.shape(), expected.to_f64()));
        }
        for (name, kind) in [
            ("cut.npy", ErrorKind::InvalidArray),
            ("gone.npy", ErrorKind::NotFound),
            ("other", ErrorKind::Io),
        ] {
            let (found, expected) = (reader.load(&path(name)), NpyArray::load(path(name)));
            let (found, expected) = (found.unwrap_err(), expected.unwrap_err());
            assert_eq!((found.kind(), found.to_string()), (kind, expected.to_string()));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_refused_at_once() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.npy");
        let name = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = FolderReader::new().load(&pipe).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
